"""Times of a file as instants in UTC, whatever way the file writes them."""

from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from ml.columns import MOMENT
from ml.errors import BadEvents

_WITH_OFFSET: Final = r"\d:\d{2}.*(Z|[+-]\d{2}:?\d{2})$"
_OFFSET_FORMATS: Final = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
_CLOCKS: Final = ("T%H:%M:%S%.f", "T%H:%M", "")
_YEAR_FIRST, _DAY_FIRST, _MONTH_FIRST = "%Y-%m-%d", "%d-%m-%Y", "%m-%d-%Y"
_EPOCH_TEXT: Final = r"^\d{9,17}$"
_EPOCH_UNITS: Final = ((10**11, 1_000_000), (10**14, 1_000), (10**17, 1))


def to_utc(column: pl.Series, timezone: str | None) -> pl.Series:
    """Microsecond instants in UTC, null where the value is missing or cannot be read.

    An hour that the clocks skipped cannot be read; of an hour that came twice the first is meant. Text may be
    ISO 8601, `31.12.2026 08:26` or `12/31/2026 8:26`; numbers are seconds, milliseconds or microseconds since
    1970, told apart by their size.

    Args:
        column: Times of one file.
        timezone: IANA name of the zone of times that name none.

    Raises:
        BadEvents: `naive-timestamps`: times without a zone and no `timezone`; `ambiguous-dates`: day and
            month cannot be told apart; `unknown-columns`: not a column of times; `unknown-timezone`.
    """
    zone = None if timezone is None else _zone(timezone)
    kind = column.dtype
    if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        return column.dt.convert_time_zone("UTC").cast(MOMENT)
    if isinstance(kind, pl.Datetime | pl.Date):
        return _located(column.cast(pl.Datetime("us")), column, zone)
    if kind.is_integer():
        return _from_epoch(column)
    if kind in (pl.String, pl.Categorical, pl.Null):
        return _from_text(column.cast(pl.String), zone)
    raise BadEvents(
        "unknown-columns",
        f"column {column.name!r} holds {kind}, not times; name the right one with --map occurred_at=COLUMN",
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadEvents(
            "unknown-timezone", f"{name!r} is no IANA time zone; write one such as --timezone Europe/London"
        ) from error


def _located(naive: pl.Series, written: pl.Series, zone: ZoneInfo | None) -> pl.Series:
    """Instants of wall-clock times in `zone`; `written` is quoted in the refusal when there is none."""
    if zone is None and naive.count():
        first = written.filter(naive.is_not_null())[0]
        raise BadEvents(
            "naive-timestamps",
            f"column {written.name!r} has times without a zone, the first is {str(first)!r};"
            " say which zone they are in, for example --timezone Europe/London",
        )
    located = naive.dt.replace_time_zone(
        "UTC" if zone is None else zone.key, ambiguous="earliest", non_existent="null"
    )
    return located.dt.convert_time_zone("UTC")


def _from_epoch(column: pl.Series) -> pl.Series:
    """Instants of counts since 1970; a value of a size that no unit explains is null."""
    counts = column.cast(pl.Int64, strict=False).to_frame("n")
    size = pl.col("n").abs()
    microseconds = pl.lit(None, pl.Int64)
    for limit, factor in reversed(_EPOCH_UNITS):
        microseconds = pl.when(size < limit).then(pl.col("n") * factor).otherwise(microseconds)
    return counts.select(microseconds.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))["n"].alias(
        column.name
    )


def _from_text(column: pl.Series, zone: ZoneInfo | None) -> pl.Series:
    text = _tidy(column)
    if text.count() and text.drop_nulls().str.contains(_EPOCH_TEXT).all():
        return _from_epoch(text)
    offset = text.str.contains(_WITH_OFFSET).fill_null(value=False)
    aware = _parsed(text.set(~offset, None), _OFFSET_FORMATS, "UTC")
    wall = text.set(offset, None)
    naive = _parsed(wall, _with_clock(_YEAR_FIRST), None)
    rest = wall.set(naive.is_not_null(), None)
    if rest.count():
        naive = _coalesce(naive, _day_or_month_first(rest, column))
    return _coalesce(aware, _located(naive, column, zone)).alias(column.name)


def _tidy(column: pl.Series) -> pl.Series:
    """One spelling: `-` between the parts of a date, `T` before the clock, an offset instead of Z or UTC."""
    return (
        column.str.strip_chars()
        .str.replace_all("/", "-", literal=True)
        .str.replace(r"^(\d{1,2})\.(\d{1,2})\.(\d{4})", "$1-$2-$3")
        .str.replace(r"\s*(Z|UTC)$", "+00:00")
        .str.replace(r"^(\S+) +(\d{1,2}:)", "${1}T$2")
    )


def _day_or_month_first(text: pl.Series, written: pl.Series) -> pl.Series:
    day, month = (_parsed(text, _with_clock(date), None) for date in (_DAY_FIRST, _MONTH_FIRST))
    if day.count() == month.count() and (day != month).any():
        first = written.filter((day != month).fill_null(value=False))[0]
        raise BadEvents(
            "ambiguous-dates",
            f"in column {written.name!r} {first!r} may mean day or month first, and nothing else in the file"
            " tells; write dates as YYYY-MM-DD",
        )
    return day if day.count() >= month.count() else month


def _with_clock(date: str) -> tuple[str, ...]:
    return tuple(date + clock for clock in _CLOCKS)


def _parsed(text: pl.Series, formats: tuple[str, ...], zone: str | None) -> pl.Series:
    """Times of the first format that reads a value; formats are only tried on what is still unread."""
    result = pl.Series(text.name, [None] * len(text), pl.Datetime("us", zone))
    for form in formats:
        rest = text.set(result.is_not_null(), None)
        if rest.count() == 0:
            break
        result = _coalesce(result, rest.str.to_datetime(form, time_unit="us", time_zone=zone, strict=False))
    return result


def _coalesce(first: pl.Series, second: pl.Series) -> pl.Series:
    return first.zip_with(first.is_not_null(), second)
