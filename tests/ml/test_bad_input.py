"""Whatever the events are, each product gets one honest answer, or there is one clear refusal."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ml.errors import MlError, NotEnoughHistory
from ml.features import category_totals
from ml.file_checks import ALLOWABLE
from ml.forecasting import Forecaster
from ml.ingest import accepted_events
from ml.lake import Lake
from ml.panel import build_panel, history_of_events, load_history
from ml.progress import silent
from ml.snapshot import Snapshot, snapshot_bytes
from tests.ml.small_models import small_bundle
from tests.ml.small_shop import SETTINGS, take, write

START = datetime(2023, 1, 10, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
CANDIDATES = ("naive", "ses", "empirical", "tsb")
Rows = list[dict[str, Any]]


def event(day: int, product: str = "A", units: float = 2, **changes: Any) -> dict[str, Any]:
    """A row of a file, so many days after the start; negative units are a return."""
    usual = {
        "event_time": START + timedelta(days=day),
        "event_type": "purchase" if units >= 0 else "return",
        "product_id": product,
        "category": "bags",
        "price": 2.5,
        "quantity": units,
        "order_id": f"{product}-{day}",
        "customer_id": "c",
        "currency": "TRY",
    }
    return usual | changes


LATE = 720
HARD: dict[str, Rows] = {
    "one event": [event(0)],
    "one product": [event(day) for day in range(0, LATE, 9)],
    "one month": [event(0), event(3, "B"), event(24)],
    "all returns": [event(day, units=-1) for day in range(0, LATE, 40)],
    "more back than sold": [event(0), *(event(day, units=-9) for day in range(1, LATE, 40)), event(LATE)],
    "one giant order": [*(event(day) for day in range(0, LATE, 9)), event(400, units=900_000)],
    "only a giant order": [event(0, units=1_000_000), event(LATE, "B", 1)],
    "a constant series": [event(day, units=5) for day in range(0, LATE, 30)],
    "a new category": [
        *(event(day) for day in range(0, LATE, 9)),
        event(LATE, "N", 4, category="never seen"),
    ],
    "a gap of a year": [event(0), event(1, "B"), event(430), event(LATE, "B")],
    "no sale for two years": [event(0), *(event(day, "B") for day in range(0, LATE, 9))],
    "negative prices": [event(day, price=-2.5) for day in range(0, LATE, 9)],
    "free of charge": [event(day, price=0) for day in range(0, LATE, 9)],
    "zeros": [event(day, units=0) for day in range(0, LATE, 9)],
    "views only": [event(day, event_type="view") for day in range(0, LATE, 9)],
}


def answered(rows: Rows, folder: Path, candidate: str = "naive") -> dict[str, dict[str, Any]]:
    """Answer by product, from events through history, fit and forecast.

    Raises:
        MlError: The events are refused.
    """
    events = accepted_events(
        write(folder / "events.parquet", rows),
        SETTINGS,
        mapping={},
        timezone=None,
        currency=None,
        allow=ALLOWABLE,
        now=NOW,
        progress=silent,
    )
    history, _ = history_of_events(events, SETTINGS, NOW)
    bundle = small_bundle(history, candidate)
    snapshot = Snapshot.from_bytes(snapshot_bytes(bundle, 1, "2026-01.0", history, NOW), bundle.sha256)
    return {name: json.loads(answer) for name, answer in snapshot.answers.items()}


def check(answer: dict[str, Any]) -> None:
    """An answer holds finite numbers, in order, none negative."""
    units = list(answer["quantiles"].values())
    numbers = [answer["mean"], *units, answer["volatility"], *answer["returns"].values()]
    assert np.all(np.isfinite(numbers)), answer
    assert min(numbers) >= 0, answer
    assert all(low <= high for low, high in pairwise(units)), answer
    assert answer["returns"]["p10"] <= answer["returns"]["p90"]
    for share in ("confidence", "probability_of_increase"):
        assert 0 <= answer[share] <= 1, answer
    assert answer["returns"]["rate"] <= 1


@pytest.mark.parametrize("candidate", CANDIDATES)
@pytest.mark.parametrize("case", HARD)
def test_an_answer_for_each_product_or_one_refusal(tmp_path: Path, case: str, candidate: str) -> None:
    rows = HARD[case]
    if case in REFUSED:
        with pytest.raises(MlError, match=r".{20,}"):
            answered(rows, tmp_path, candidate)
        return
    found = answered(rows, tmp_path, candidate)
    over = datetime(2025, 1, 1, tzinfo=UTC)
    sold = {row["product_id"] for row in rows if row["event_type"] == "purchase" and row["event_time"] < over}
    assert set(found) == sold
    for answer in found.values():
        check(answer)


REFUSED = {"one event", "all returns", "negative prices", "free of charge", "zeros", "views only"}
"""Nothing was sold, or not by the end of a month that is over."""

odd_events = st.lists(
    st.builds(
        event,
        st.integers(0, 800),
        st.sampled_from(["A", "b", " B ", "C"]),
        st.one_of(st.integers(-50, 200), st.just(500_000), st.just(0)),
        price=st.sampled_from([2.5, 0.01, -1.0, 0.0, 9e6]),
        category=st.sampled_from(["bags", "toys", None, "ünïcode / x"]),
        customer_id=st.sampled_from(["c", "d", None]),
        event_type=st.sampled_from(["purchase", "purchase", "purchase", "return", "view", "cart"]),
    ),
    min_size=1,
    max_size=40,
)


@given(rows=odd_events, candidate=st.sampled_from(CANDIDATES))
@example(rows=[event(0, "A", 1), event(40, "A", -1)], candidate="empirical")
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_events_are_answered_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: Rows, candidate: str
) -> None:
    answered_or_refused(rows, tmp_path_factory.mktemp("odd"), candidate)


@pytest.mark.soak
@given(rows=odd_events, candidate=st.sampled_from(CANDIDATES))
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
def test_many_events_are_answered_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: Rows, candidate: str
) -> None:
    answered_or_refused(rows, tmp_path_factory.mktemp("odd"), candidate)


def answered_or_refused(rows: Rows, folder: Path, candidate: str) -> None:
    try:
        found = answered(rows, folder, candidate)
    except MlError:
        return
    assert found
    for answer in found.values():
        check(answer)


def dirty(seed: int = 5) -> Rows:
    """Two years of a shop as real files are: duplicates, wrong prices, odd spellings, returns, cancelled orders."""
    rng = np.random.default_rng(seed)
    rows = [
        event(
            int(rng.integers(0, LATE)),
            str(rng.choice(["A", "a", " B", "C", "D", "POST"])),
            int(rng.geometric(0.3)),
            order_id=f"o-{i}",
        )
        for i in range(400)
    ]
    for i, one in enumerate(rows):
        if i % 23 == 0:
            one["price"] = float(rng.choice([-1.0, 0.0]))
        if one["product_id"] == "POST":
            one["category"] = "_non_product"
        if i % 31 == 0:
            one["quantity"] = 0
    cancelled = [
        event(100, "A", units, order_id=f"x{units}") | {"event_time": START + timedelta(days=100, minutes=at)}
        for units, at in ((70_000, 0), (-70_000, 9))
    ]
    cancelled += [
        event(60, "TAKEN", 3),
        event(60, "TAKEN", -3, event_time=START + timedelta(days=60, minutes=9)),
    ]
    seen_only = [event(day, "SEEN", 1, event_type="view") for day in range(0, 90, 30)]
    returned_only = [event(50, "BACK", -2)]
    new = [event(LATE + 25, "NEW", 3)]
    return [*rows, *rows[:40], *cancelled, *seen_only, *returned_only, *new, event(LATE + 8, "A")]


def test_no_product_is_without_an_answer_and_none_is_dropped_without_a_counted_reason(tmp_path: Path) -> None:
    rows, lake = dirty(), Lake(tmp_path / "lake")
    report = take(write(tmp_path / "dirty.parquet", rows), lake, settings=SETTINGS, now=NOW)
    assert report.accepted + report.duplicate + sum(report.refused.values()) == len(rows)
    panel = build_panel(lake, SETTINGS, NOW)
    history = load_history(lake)
    answers = Forecaster(small_bundle(history), 1, panel.data_version, category_totals(history)).answers(
        history
    )
    answered_ids = {json.loads(answer)["product_id"] for answer in answers}

    # The other side, from the rows alone.
    fate: dict[str, Counter[str]] = {}
    for row in rows:
        product = row["product_id"].strip().upper()
        reason = "answer"
        if row["category"] == "_non_product":
            reason = "not_a_product"
        elif row["quantity"] == 0:
            reason = "quantity_not_positive"
        elif row["price"] <= 0:
            reason = "price_not_positive"
        elif row["event_type"] != "purchase":
            reason = "not a purchase"
        elif row["event_time"] >= datetime(2025, 1, 1, tzinfo=UTC):
            reason = "open month"
        elif abs(row["quantity"]) == 70_000 or product == "TAKEN":
            reason = "set aside"
        fate.setdefault(product, Counter())[reason] += 1
    expected = {product for product, reasons in fate.items() if reasons["answer"]}
    assert answered_ids == expected
    assert set(fate) - expected == {"POST", "SEEN", "BACK", "NEW", "TAKEN"}
    refused = sum((reasons for reasons in fate.values()), Counter())
    counted = {
        reason: refused[reason] for reason in ("not_a_product", "quantity_not_positive", "price_not_positive")
    }
    assert report.refused == counted
    assert panel.set_aside == {"cancelled_within_24_hours": 4}
    assert panel.products_without_row == {"first_bought_later": 1, "never_bought": 2, "only_set_aside": 1}
    quarantine = lake.read("quarantine").collect()
    assert quarantine.height == sum(report.refused.values())
    assert pl.Series(list(report.refused)).is_in(quarantine["reason"].unique().to_list()).all()


def test_a_shop_without_a_complete_month_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughHistory, match="complete month"):
        answered(HARD["one event"], tmp_path)
