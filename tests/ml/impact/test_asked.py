"""What rested on which model: shares by plain sums, products that nobody asked for, and a page that says both."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ml.argument import place
from ml.impact.asked import Asked, AskedMonth, asked_for, month_of
from ml.impact.measure import impacts, outcomes
from ml.impact.page import to_json, write_page
from ml.lake import Lake
from ml.served import Served
from tests.ml.impact.test_impact import COSTS, Cells, history, lake

__all__ = ["lake"]

OLD, NEW = "a" * 64, "b" * 64


def served(model: str, asked: dict[str, int], data: str = "2025-11", **changes: Any) -> Served:
    values: dict[str, Any] = {
        "model_version": 1 if model == OLD else 2,
        "model_sha256": model,
        "data_version": f"{data}.0123456789ab",
        "asked": Counter(asked),
        "listed": Counter(),
        "live": 0,
        "samples": [],
        "files": 1,
        "since": "2025-12-01T00:00:00+00:00",
        "until": "2025-12-02T00:00:00+00:00",
    }
    return Served(**values | changes)


def told(lake: Lake, *parts: Served, unreadable: tuple[str, ...] = ()) -> Asked:
    return asked_for(outcomes(lake, history(), COSTS), parts, unreadable)


def month(lake: Lake, *parts: Served) -> AskedMonth:
    (found,) = told(lake, *parts).months
    return found


def test_units_and_money_rest_on_models_as_their_answers_do(lake: Lake) -> None:
    """`a` sold 10 at 200, three answers of four by the new model; `c` sold 7 at 300, all by the old; `b` by nobody."""
    found = month(lake, served(OLD, {"a": 1, "c": 4}), served(NEW, {"a": 3}, live=9))
    old, new = found.models
    assert (old.model_version, new.model_version, found.answers) == (1, 2, 8)
    assert (old.answers.amount, old.answers.share, new.answers.share) == (5, 5 / 8, 3 / 8)
    assert (old.units.amount, new.units.amount) == (2.5 + 7, 7.5)
    assert (old.units.share, new.units.share) == (9.5 / 17, 7.5 / 17)
    assert (old.money_cents.amount, new.money_cents.amount) == (500 + 2100, 1500)
    assert (old.live, new.live) == (0, 9)
    assert (found.unasked.products, found.unasked.most) == (1, ("b",))
    assert found.unasked.units.share == 0


def test_shares_of_models_and_of_what_nobody_asked_for_add_up_to_one(lake: Lake) -> None:
    found = month(lake, served(OLD, {"b": 5, "unknown": 2}), served(NEW, {"c": 1}))
    for name in ("units", "money_cents"):
        parts = [getattr(each, name).share for each in (*found.models, found.unasked)]
        assert sum(parts) == pytest.approx(1), name
    assert sum(each.answers.share or 0 for each in found.models) == pytest.approx(1)
    assert found.unasked.most == ("a",)
    assert found.unasked.money_cents.amount == 2000


def test_an_error_counts_as_often_as_it_was_asked_for(lake: Lake) -> None:
    """`a` is 2 of 10 off, `c` is right: one answer in four of 7 units, or all of 10."""
    assert month(lake, served(OLD, {"a": 1})).wape == pytest.approx(2 / 10)
    assert month(lake, served(OLD, {"a": 1, "c": 3})).wape == pytest.approx(2 / (10 + 3 * 7))
    assert month(lake, served(OLD, {"b": 1})).wape is None


def test_a_page_is_an_answer_and_snapshots_of_a_model_add_up(lake: Lake) -> None:
    listed = served(NEW, {}, listed=Counter({"a": 1, "b": 1}), since="2025-11-30T00:00:00+00:00")
    other = served(NEW, {"c": 2}, data_version="2025-11.ffffffffffff", until="2025-12-09T00:00:00+00:00")
    found = month(lake, listed, other)
    (model,) = found.models
    assert (model.answers.amount, model.units.share, found.unasked.products) == (4, 1, 0)
    assert (found.since[:10], found.until[:10]) == ("2025-11-30", "2025-12-09")


def test_a_month_that_is_not_over_is_counted_beside(lake: Lake) -> None:
    found = told(lake, served(OLD, {"a": 3}, data="2025-12"), unreadable=("x.jsonl",))
    assert (found.months, found.answers_of_other_months, found.unreadable) == ((), 3, ("x.jsonl",))
    assert month_of(served(OLD, {}, data="2025-12")) == "2026-01"


def test_only_histories_were_asked_for(lake: Lake) -> None:
    """No division by nothing."""
    found = month(lake, served(OLD, {}, live=4))
    assert (found.answers, found.wape, found.models[0].answers.share, found.models[0].live) == (
        0,
        None,
        None,
        4,
    )
    assert found.unasked.products == 3


def test_the_page_says_it_and_without_counts_is_as_before(lake: Lake, tmp_path: Path) -> None:
    whole = outcomes(lake, history(), COSTS)
    asked = asked_for(whole, [served(NEW, {"a": 1}), served(OLD, {"<i>": 1})], ["broken.jsonl"])
    report = to_json(impacts(whole, COSTS), COSTS, asked)
    write_page(report, tmp_path / "asked.html")
    text = (tmp_path / "asked.html").read_text()
    cells = Cells()
    cells.feed(text)
    assert {"2 (bbbbbbbbbbbb)", "1 (aaaaaaaaaaaa)", "nobody asked", "58.8%"} <= set(cells.texts)
    assert "Nobody asked for 2 products" in text
    assert "1 files of counts could not be read" in text
    assert json.loads(json.dumps(report))["asked"]["months"][0]["models"][1]["units"]["share"] == 10 / 17
    before = to_json(impacts(whole, COSTS), COSTS)
    assert before == {name: value for name, value in report.items() if name != "asked"}
    write_page(before, tmp_path / "before.html")
    assert "asked for" not in (tmp_path / "before.html").read_text().partition("<h2>How it is counted")[0]


def test_a_place_is_a_folder_or_a_bucket(tmp_path: Path) -> None:
    assert place(str(tmp_path)) == tmp_path
    assert place("s3://served/production") == "s3://served/production"
