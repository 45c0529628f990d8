"""Times of a file become instants in UTC, or are refused with the option that helps."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import BadEvents
from ml.event_times import to_utc

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def read(values: list[object], timezone: str | None = None) -> list[datetime | None]:
    return to_utc(pl.Series("when", values), timezone).to_list()


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01 12:00:00+00:00",
        "2026-03-01T15:00:00.000+03:00",
        "2026-03-01 15:00+0300",
        "2026-03-01 12:00:00 UTC",
        " 2026-03-01T12:00Z ",
        "2026/03/01 12:00:00Z",
    ],
)
def test_text_with_an_offset_needs_no_zone(text: str) -> None:
    assert read([text]) == [NOON]


@pytest.mark.parametrize(
    "text", ["2026-03-01 12:00:00", "2026-03-01T12:00", "01.03.2026 12:00", "2026/03/01 12:00:00.000"]
)
def test_text_without_an_offset_is_in_the_said_zone(text: str) -> None:
    assert read([text, "31.12.2026 00:00"], "Europe/Istanbul")[0] == NOON - timedelta(hours=3)


def test_month_first_and_day_first_are_told_by_the_other_rows() -> None:
    assert read(["12/1/2010 8:26", "12/13/2010 8:26"], "UTC")[0] == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    assert read(["12/1/2010 8:26", "13/12/2010 8:26"], "UTC")[0] == datetime(2010, 1, 12, 8, 26, tzinfo=UTC)


def test_dates_that_could_be_either_are_refused() -> None:
    with pytest.raises(
        BadEvents, match=r"'when' '12/1/2010 8:26' may mean day or month first.*YYYY-MM-DD"
    ) as refusal:
        read(["1/1/2010 8:26", "12/1/2010 8:26"], "UTC")
    assert refusal.value.check == "ambiguous-dates"


@pytest.mark.parametrize("factor", [1, 1_000, 1_000_000], ids=["seconds", "milliseconds", "microseconds"])
@pytest.mark.parametrize("kind", [int, str])
def test_epochs_are_told_apart_by_size(factor: int, kind: type) -> None:
    assert read([kind(int(NOON.timestamp()) * factor), None]) == [NOON, None]


def test_typed_columns() -> None:
    aware = pl.Series("when", [NOON]).dt.convert_time_zone("America/New_York")
    assert to_utc(aware, None).to_list() == [NOON]
    assert to_utc(pl.Series("when", [datetime(2026, 3, 1, 12)]), "UTC").to_list() == [NOON]  # noqa: DTZ001
    nanoseconds = pl.Series("when", [NOON]).cast(pl.Datetime("ns", "UTC"))
    assert to_utc(nanoseconds, None).dtype == pl.Datetime("us", "UTC")
    assert read([date(2026, 3, 1)], "Europe/Istanbul") == [datetime(2026, 2, 28, 21, tzinfo=UTC)]


def test_an_hour_that_came_twice_is_the_first_and_a_skipped_one_cannot_be_read() -> None:
    """London: clocks went back on 25 October 2020 at 2:00 and forward on 29 March 2020 at 1:00."""
    assert read(["2020-10-25 01:30:00", "2020-03-29 01:30:00"], "Europe/London") == [
        datetime(2020, 10, 25, 0, 30, tzinfo=UTC),
        None,
    ]


def test_missing_and_unreadable_values_are_null() -> None:
    assert read(["2026-03-01T12:00:00Z", None, "", "yesterday", "2026-02-30T12:00:00Z"]) == [NOON] + 4 * [
        None
    ]
    assert read([None, None]) == [None, None]


@pytest.mark.parametrize("values", [["2009-12-01 07:45:00"], [datetime(2009, 12, 1, 7, 45)]])  # noqa: DTZ001
def test_naive_times_are_refused_with_the_first_value_and_the_option(values: list[object]) -> None:
    with pytest.raises(
        BadEvents, match=r"'when' has times without a zone.*'2009-12-01 07:45:00.*--timezone Europe"
    ) as refusal:
        read(values)
    assert refusal.value.check == "naive-timestamps"


def test_one_naive_value_among_aware_ones_is_refused_too() -> None:
    with pytest.raises(BadEvents, match="the first is '2009-12-01 07:45:00'"):
        read(["2026-03-01T12:00:00Z", "2009-12-01 07:45:00"])


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", ""])
def test_an_unknown_zone_is_named(name: str) -> None:
    with pytest.raises(BadEvents, match="is no IANA time zone") as refusal:
        read(["2026-03-01 12:00:00"], name)
    assert refusal.value.check == "unknown-timezone"


def test_a_column_of_something_else_is_named() -> None:
    with pytest.raises(BadEvents, match="column 'when' holds Float64, not times"):
        read([1.5])


@given(
    moment=st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    offset=st.integers(-12 * 60, 14 * 60),
)
def test_any_iso_text_is_read_as_python_reads_it(moment: datetime, offset: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    assert read([aware.isoformat(), aware.isoformat(" ")]) == 2 * [aware.astimezone(UTC)]


@given(st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1)))  # noqa: DTZ001
def test_wall_clock_times_are_located_as_python_locates_them(moment: datetime) -> None:
    zone = ZoneInfo("Europe/London")
    located = moment.replace(tzinfo=zone, fold=0).astimezone(UTC)  # the first of an hour that came twice
    skipped = located.astimezone(zone).replace(tzinfo=None) != moment
    assert read([moment], "Europe/London") == [None if skipped else located]
