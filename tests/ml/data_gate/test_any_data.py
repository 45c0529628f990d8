"""Whatever the lake holds, the gate answers; and the order of its rows says nothing."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.columns import EVENT_SCHEMA, PANEL_SCHEMA, QUARANTINE_SCHEMA, Schema
from ml.data_gate.check import Check, closed, failed, judged, overall
from ml.data_gate.gate import OF_RECENT, Data, checks
from ml.data_gate.settings import QualitySettings
from ml.data_gate.whole import Arrivals
from ml.errors import NotEnoughHistory
from ml.settings import MlSettings
from tests.ml.data_gate import steady_shop as shop

NOW = datetime(2026, 7, 1, 9, tzinfo=UTC)
SETTINGS = MlSettings(quality=QualitySettings(days=5, weeks=4, smallest_weeks=2, smallest_events=1))
DEFECT = "could not be made"

moments = st.integers(-(2**31), 2**33) | st.integers(1_777_600_000, 1_783_000_000)
"""Seconds since 1970: some in the spring of 2026, others from 1901 to 2242."""
words = st.sampled_from(
    ["purchase", "view", "return", "TRY", "EUR", "2026-06", "web", "P1", "P2", "", "a\x00"]
) | st.text(max_size=5)
numbers = st.sampled_from([-1, 0, 1, 2, 12, 10**12, -(2**63), 2**63 - 1])


def value_of(kind: object) -> st.SearchStrategy[object]:
    if kind == pl.String:
        return words
    if kind == pl.Int64:
        return numbers
    if kind == pl.Float64:
        return st.floats()
    if kind == pl.Date:
        return st.dates(date(2025, 1, 1), date(2027, 1, 1))
    return moments.map(lambda second: datetime.fromtimestamp(second, UTC))


def frames(schema: Schema, most: int) -> st.SearchStrategy[pl.DataFrame]:
    row = st.fixed_dictionaries({name: st.none() | value_of(kind) for name, kind in schema.items()})
    return st.lists(row, max_size=most).map(lambda rows: pl.DataFrame(rows, schema=schema))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    events=frames(EVENT_SCHEMA, 12),
    panel=frames(PANEL_SCHEMA, 6),
    refused=frames(QUARANTINE_SCHEMA, 3),
    accepted=st.integers(0, 5),
    repeat=st.integers(1, 30),
    as_of=st.none() | st.just(NOW),
)
def test_no_data_breaks_a_check(
    *,
    events: pl.DataFrame,
    panel: pl.DataFrame,
    refused: pl.DataFrame,
    accepted: int,
    repeat: int,
    as_of: datetime | None,
) -> None:
    """The guard that closes the gate where a check raises is never needed, even for values that no event may have."""
    many = pl.concat([events] * repeat)
    arrived = Arrivals(accepted, refused.select("row_id", "reason", "source"))
    made = checks(Data(many.lazy(), panel, lambda _: arrived), SETTINGS, now=NOW, as_of=as_of)
    assert len(made) == len(OF_RECENT) + 4
    assert not [check for check in made if DEFECT in check.reason]


@pytest.mark.parametrize(
    "fault", [None, *shop.FAULTS.values()], ids=lambda value: getattr(value, "__name__", "good")
)
def test_the_order_of_rows_changes_nothing(fault: shop.Fault | None) -> None:
    good = shop.steady_shop(per_day=60.0)
    events = good if fault is None else fault(good, shop.ZONE)
    order = np.random.default_rng(3).permutation(events.height)
    one, other = (
        checks(
            Data(frame.lazy(), pl.DataFrame(schema=PANEL_SCHEMA), lambda _: Arrivals(0, pl.DataFrame())),
            MlSettings(quality=QualitySettings(days=10)),
            now=NOW,
            as_of=None,
        )
        for frame in (events, events[order])
    )
    assert one == other


def test_a_check_that_raises_or_measures_nothing_closes_the_gate() -> None:
    def raises() -> Check:
        raise ZeroDivisionError("of a defect")

    def unknown() -> Check:
        raise NotEnoughHistory("too young")

    assert closed("x", raises) == failed("x", "the check could not be made (ZeroDivisionError: of a defect)")
    assert closed("x", unknown).verdict == "not enough data"
    for value in (float("nan"), float("inf")):
        made = closed("x", lambda value=value: Check("x", judged(value, 1, 2), value, 2.0, "y"))  # type: ignore[misc]
        assert (made.verdict, made.value) == ("fail", None)
    assert closed("x", lambda: Check("x", judged(0.5, 1, 2), 0.5, 2.0, "y")).verdict == "pass"


def test_events_that_cannot_be_read_close_the_gate() -> None:
    wrong = pl.LazyFrame({"event_id": [1]})
    made = checks(
        Data(wrong, pl.DataFrame(), lambda _: Arrivals(0, pl.DataFrame())), SETTINGS, now=NOW, as_of=None
    )
    assert [(check.name, check.verdict) for check in made] == [("readable", "fail")]


def test_a_panel_of_other_columns_fails() -> None:
    panel = pl.DataFrame({"product_id": ["A"], "month": [date(2026, 6, 1)]})
    made = checks(
        Data(pl.LazyFrame(schema=EVENT_SCHEMA), panel, lambda _: Arrivals(0, pl.DataFrame())),
        SETTINGS,
        now=NOW,
        as_of=None,
    )
    (found,) = [check for check in made if check.name == "panel_schema"]
    assert found.verdict == "fail"


def test_the_worst_verdict_counts_and_no_check_at_all_fails() -> None:
    def of(*verdicts: str) -> str:
        return overall([Check("x", verdict, None, None, "") for verdict in verdicts])  # type: ignore[arg-type]

    assert of("pass", "warn", "fail") == "fail"
    assert of("pass", "warn", "not enough data") == "warn"
    assert of("pass", "not enough data") == "pass"
    assert of() == "fail"
