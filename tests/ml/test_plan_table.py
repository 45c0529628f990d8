"""A plan is taken into the lake row by row, each accepted or refused for a reason, and read beside the history."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.columns import PLAN_SCHEMA
from ml.errors import BadPanel, NotEnoughHistory
from ml.lake import Lake
from ml.panel import build_panel, data_version_of, load_history, note_data_version
from ml.plan_table import PlanReport, import_plan
from tests.ml.small_shop import NOW, SETTINGS, good_rows, row, take, write

NAN = np.nan
AUGUST, SEPTEMBER, OCTOBER = date(2026, 8, 1), date(2026, 9, 1), date(2026, 10, 1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Products A, B and C from June to August; September is to be forecast."""
    return shop(tmp_path)


def shop(folder: Path) -> Lake:
    lake = Lake(folder / "lake")
    events = [*good_rows(), row(event_time=datetime(2026, 9, 2, tzinfo=UTC))]
    take(write(folder / "shop.parquet", events), lake)
    build_panel(lake, SETTINGS, NOW)
    return lake


def planned(lake: Lake, rows: list[dict[str, Any]], *, past: bool = False, later: int = 0) -> PlanReport:
    file = lake.root / "plan.parquet"
    pl.DataFrame(rows, infer_schema_length=None, strict=False).write_parquet(file)
    return import_plan(file, lake, past=past, now=NOW + timedelta(days=later))


def plan(product: object = "A", month: object = SEPTEMBER, **values: object) -> dict[str, Any]:
    return {"product_id": product, "month": month, **(values or {"price": 2.0})}


def stored(lake: Lake) -> list[tuple[Any, ...]]:
    columns = ["product_id", "month", "price_cents", "promotion", "advertising_cents"]
    return lake.read("plan", columns).sort("product_id", "month").collect().rows()


def test_a_plan_stands_beside_the_history_up_to_the_month_to_forecast(lake: Lake) -> None:
    rows = [
        plan(" a ", AUGUST, price=2.5, promotion=0.5, advertising=10.0),
        plan("B", SEPTEMBER, price=1.999, promotion=None, advertising=None),
        plan("B", OCTOBER, price=9.0, promotion=1.0, advertising=99.0),
    ]
    report = planned(lake, rows, past=True)
    assert (report.accepted, report.refused, report.next_month) == (3, {}, "2026-09")
    assert report.planned_for_next_month == 1
    assert lake.read("plan").collect().schema == PLAN_SCHEMA
    history = load_history(lake)
    assert set(history.plan) == {"price_cents", "promotion", "advertising", "shop_price"}
    none = [NAN] * 4
    np.testing.assert_array_equal(
        history.plan["price_cents"], [[NAN, NAN, 250, NAN], [NAN, NAN, NAN, 200], none]
    )
    np.testing.assert_array_equal(history.plan["promotion"], [[NAN, NAN, 0.5, NAN], none, none])
    np.testing.assert_array_equal(history.plan["advertising"], [[NAN, NAN, 1000, NAN], none, none])


def test_without_a_plan_history_and_version_have_the_bits_of_before(lake: Lake) -> None:
    before, version = load_history(lake), data_version_of(load_history(lake))
    assert not before.plan
    planned(lake, [plan("A", OCTOBER)])
    after = load_history(lake)
    assert not after.plan, "a plan for later months says nothing of the next"
    assert after.units.tobytes() == before.units.tobytes()
    assert data_version_of(after) == version
    planned(lake, [plan("A", SEPTEMBER)])
    assert data_version_of(load_history(lake)) != version


def test_a_plan_of_later_months_leaves_no_trace_in_an_earlier_history(lake: Lake) -> None:
    planned(lake, [plan("A", AUGUST), plan("A", SEPTEMBER)], past=True)
    july = data_version_of(load_history(lake, "2026-07"))
    planned(lake, [plan("A", SEPTEMBER, price=7.0), plan("B", OCTOBER)])
    assert data_version_of(load_history(lake, "2026-07")) == july
    planned(lake, [plan("A", AUGUST, price=7.0)], past=True)
    assert data_version_of(load_history(lake, "2026-07")) != july


def test_the_same_file_again_writes_nothing_and_the_newest_row_wins_as_a_whole(lake: Lake) -> None:
    rows = [plan("A", promotion=1.0, price=2.0), plan("B", promotion=0.0, price=3.0)]
    assert planned(lake, rows).changed == 2
    again = planned(lake, rows[::-1], later=1)
    assert (again.accepted, again.changed, lake.version("plan")) == (2, 0, 0)
    assert planned(lake, [plan("B", price=4.0)], later=2).changed == 1
    assert stored(lake) == [("A", SEPTEMBER, 200, 1.0, None), ("B", SEPTEMBER, 400, None, None)]
    assert lake.read("plan").filter(pl.col("product_id") == "A").collect()["imported_at"].item() == NOW


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (plan(None), "no_product"),
        (plan("  "), "no_product"),
        (plan("A", None), "no_month"),
        (plan("Z"), "unknown_product"),
        (plan("A", AUGUST), "month_over"),
        (plan("A", date(2029, 10, 1)), "too_far_ahead"),
        (plan("A", price=-1.0), "impossible_price"),
        (plan("A", price=0.0), "impossible_price"),
        (plan("A", price=0.001), "impossible_price"),
        (plan("A", price=1e10), "impossible_price"),
        (plan("A", price=float("inf")), "not_a_number"),
        (plan("A", promotion=1.5), "impossible_promotion"),
        (plan("A", promotion=-0.1), "impossible_promotion"),
        (plan("A", advertising=-5.0), "impossible_advertising"),
        (plan("A", price=None), "nothing_planned"),
        (plan("A", price=NAN), "nothing_planned"),
    ],
)
def test_a_row_that_cannot_be_taken_is_counted_and_shown_and_the_others_are_taken(
    lake: Lake, refused: dict[str, Any], reason: str
) -> None:
    report = planned(lake, [plan("B", price=3.0, promotion=0.0, advertising=0.0), refused])
    assert (report.accepted, report.refused) == (1, {reason: 1})
    assert [(shown["row"], shown["reason"]) for shown in report.refused_rows] == [(2, reason)]
    assert json.loads(json.dumps(report.to_json()))["refused"] == {reason: 1}
    assert [product for product, *_ in stored(lake)] == ["B"]


def test_months_before_the_panel_are_refused_with_past_months_too(lake: Lake) -> None:
    report = planned(lake, [plan("A", date(2026, 5, 1)), plan("A", AUGUST)], past=True)
    assert (report.accepted, report.refused) == (1, {"before_the_first_month": 1})


def test_the_same_row_twice_counts_once_and_rivals_not_at_all(lake: Lake) -> None:
    twice = [plan("A"), plan("a", date(2026, 9, 17)), plan("B"), plan("B", price=2.5), plan("B", AUGUST)]
    report = planned(lake, twice)
    assert report.refused == {"conflicting_row": 2, "duplicate_row": 1, "month_over": 1}
    assert stored(lake) == [("A", SEPTEMBER, 200, None, None)]


def test_text_is_read_as_planners_write_it(lake: Lake) -> None:
    file = lake.root / "plan.csv"
    file.write_text(
        "SKU;Month;price_cents;Promo;ad_spend\na;2026-09;199;Yes;12.5\nB;2026-09-15;;no;\nc;soon;1;no;1\nC;2026-09;cheap;;\n"
    )
    report = import_plan(file, lake, past=False, now=NOW)
    assert report.refused == {"no_month": 1, "not_a_number": 1}
    assert report.columns == {
        "series_id": "SKU",
        "period": "Month",
        "price": "price_cents",
        "promotion": "Promo",
        "advertising": "ad_spend",
    }
    assert stored(lake) == [("A", SEPTEMBER, 199, 1.0, 1250), ("B", SEPTEMBER, None, 0.0, None)]


def test_what_is_no_plan_at_all_is_refused_and_nothing_is_written(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(BadPanel, match="none of price, promotion, advertising"):
        planned(lake, [{"product_id": "A", "month": SEPTEMBER, "colour": "red"}])
    for rows, check in (
        ([plan("A", 202609)], "unreadable-period"),
        ([plan("A", price=[1.0, 2.0])], "unreadable-column"),
        ([plan(["A"])], "unreadable-column"),
    ):
        with pytest.raises(BadPanel) as refused:
            planned(lake, rows)
        assert refused.value.check == check
    empty = Lake(tmp_path / "empty")
    empty.root.mkdir()
    with pytest.raises(NotEnoughHistory, match="no panel to plan for"):
        planned(empty, [plan()])
    assert not lake.exists("plan")
    assert not empty.exists("plan")


def test_a_version_names_the_plan_it_was_made_from(lake: Lake) -> None:
    planned(lake, [plan()])
    version = note_data_version(lake, NOW)
    assert build_panel(lake, SETTINGS, NOW).data_version == version.name
    tables = dict(lake.read("data_versions", ["name", "tables"]).collect().iter_rows())
    assert tables[version.name] == '{"events": 0, "panel": 0, "plan": 0}'
    assert set(tables.values()) == {'{"events": 0, "panel": 0}', tables[version.name]}


cell = st.tuples(
    st.sampled_from(["A", "b", "Z", "", None]),
    st.sampled_from([date(2025, 1, 1), AUGUST, SEPTEMBER, OCTOBER, date(2999, 1, 1), None]),
    st.none() | st.floats(),
    st.none() | st.floats(-1, 2),
    st.none() | st.floats(-1e15, 1e15),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(cell, min_size=1, max_size=12), st.booleans())
def test_every_row_is_accepted_or_refused_for_one_reason(
    tmp_path_factory: pytest.TempPathFactory, cells: list[Any], past: bool
) -> None:
    lake = _template(tmp_path_factory)
    frame = pl.DataFrame(
        cells,
        schema={
            "product_id": pl.String,
            "month": pl.Date,
            "price": pl.Float64,
            "promotion": pl.Float64,
            "advertising": pl.Float64,
        },
        orient="row",
    )
    file = lake.root / "plan.parquet"
    frame.write_parquet(file)
    report = import_plan(file, lake, past=past, now=NOW)
    assert report.accepted + sum(report.refused.values()) == len(cells) == report.rows
    for product, month, price, promotion, advertising in stored(lake):
        assert product in {"A", "B"}
        assert date(2026, 6, 1) <= month <= OCTOBER
        assert price is None or price > 0
        assert promotion is None or 0 <= promotion <= 1
        assert advertising is None or advertising >= 0
    assert load_history(lake).n == 3
    assert import_plan(file, lake, past=past, now=NOW).changed == 0


_LAKES: list[Lake] = []


def _template(folders: pytest.TempPathFactory) -> Lake:
    """One lake for all examples; what an earlier one planned is forgotten."""
    if not _LAKES:
        _LAKES.append(shop(folders.mktemp("shop")))
    _LAKES[0].restore("plan", None)
    return _LAKES[0]
