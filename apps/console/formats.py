"""How numbers and moments are written for people; every function takes what a service answered."""

from collections.abc import Sequence
from datetime import UTC, datetime

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
_STEPS = (("day", 86_400), ("hour", 3_600), ("minute", 60))
_SPANS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
_SHORT_CHARACTERS = 12
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def number(value: float | None, digits: int = 1) -> str:
    """`1,234.5`; a dash where there is none."""
    return DASH if value is None else f"{value:,.{digits}f}".replace("-", MINUS)


def measure(cell: object) -> float | None:
    """A number from a table that may hold anything; None for the rest, so that it shows as a dash."""
    return float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else None


def units(value: float | None) -> str:
    """Units with one decimal below a hundred, where a part of one still says something."""
    return DASH if value is None else number(value, 0 if abs(value) >= 100 or value == int(value) else 1)  # noqa: PLR2004


def percent(share: float | None, digits: int = 0) -> str:
    """A share as `12 %`."""
    return DASH if share is None else f"{number(share * 100, digits)}\N{NO-BREAK SPACE}%"


def signed(text: str) -> str:
    """A plus before a number above zero, where the minus of others should not be the only sign."""
    return f"+{text}" if text[:1].isdecimal() and any(digit in text for digit in "123456789") else text


def money(cents: float | None) -> str:
    """Cents as `1,234.50`; the shop has one currency."""
    return DASH if cents is None else number(cents / 100, 2)


def duration(seconds: float | None) -> str:
    """A span of time in its largest unit, one decimal: `2.5 h`."""
    if seconds is None:
        return DASH
    length, unit = next((step for step in _SPANS if seconds >= step[0]), _SPANS[-1])
    return f"{number(seconds / length, 1)}\N{NO-BREAK SPACE}{unit}"


def short(name: str) -> str:
    """The beginning of a digest or commit id, as Git shows it."""
    return name[:_SHORT_CHARACTERS]


def moment(at: datetime) -> str:
    """`2026-11-22 16:30 UTC`."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def month(text: str, *, short: bool = False, names: Sequence[str] = _MONTHS) -> str:
    """`January 2026` of `2026-01`, `Jan 2026` where it is short; what is no month stays as it is."""
    year, _, number = text.partition("-")
    if not (number.isdecimal() and 1 <= int(number) <= len(names)):
        return text
    name = names[int(number) - 1]
    return f"{name[:3] if short else name}\N{NO-BREAK SPACE}{year}"


def age(at: datetime, now: datetime) -> tuple[str, int]:
    """The largest unit that has passed and how many: `("hour", 3)`; `("minute", 0)` for just now."""
    seconds = max((now - at).total_seconds(), 0)
    return next(
        ((name, int(seconds // length)) for name, length in _STEPS if seconds >= length), ("minute", 0)
    )
