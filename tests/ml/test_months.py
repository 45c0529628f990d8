"""Months of the shop's zone, holes between them, and months that lie apart."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.months import empty_months, month_end, months_apart, months_between, shop_month


def month(text: str) -> date:
    return date.fromisoformat(f"{text}-01")


def counts(**rows: int) -> dict[date, int]:
    """Rows by month, written as m2026_01=5."""
    return {month(name[1:].replace("_", "-")): number for name, number in rows.items()}


@given(st.integers(631_152_000, 2_051_222_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)))
def test_a_month_is_a_month_of_the_shops_zone(moment: datetime) -> None:
    local = moment.astimezone(ZoneInfo("Europe/Istanbul"))
    found = pl.DataFrame({"at": [moment]}).select(shop_month(pl.col("at"), "Europe/Istanbul")).item()
    assert found == date(local.year, local.month, 1)


def test_a_month_ends_at_local_midnight() -> None:
    assert month_end(month("2026-12"), ZoneInfo("Europe/Istanbul")) == datetime(2026, 12, 31, 21, tzinfo=UTC)
    assert month_end(month("2026-02"), ZoneInfo("UTC")) == datetime(2026, 3, 1, tzinfo=UTC)


def test_holes_are_the_months_between() -> None:
    assert empty_months(counts(m2025_11=3, m2026_02=1)) == [month("2025-12"), month("2026-01")]
    assert empty_months(counts(m2025_11=3)) == []
    assert empty_months({}) == []
    assert months_between(month("2025-12"), month("2026-01")) == [month("2025-12"), month("2026-01")]


def test_few_rows_beyond_a_hole_are_apart() -> None:
    """The shape of a real file: a handful of early rows, and four with a year of the future."""
    rows = counts(m2016_09=4, m2016_12=1, m2017_02=50_000, m2017_03=60_000, m2020_02=3, m2020_04=1)
    before, after = months_apart(rows)
    assert before == {month("2016-09"), month("2016-12")}
    assert after == {month("2020-02"), month("2020-04")}


@pytest.mark.parametrize(
    "rows",
    [
        counts(m2026_01=1, m2026_02=1000),
        counts(m2025_12=5, m2026_02=995),
        counts(m2025_12=500, m2026_02=500),
        {},
    ],
    ids=["no hole", "half a percent", "two halves", "nothing"],
)
def test_months_next_to_the_bulk_and_larger_parts_belong_to_it(rows: dict[date, int]) -> None:
    assert months_apart(rows) == (frozenset(), frozenset())
