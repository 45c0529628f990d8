"""How numbers and moments are written in Turkish (Unicode CLDR, locale tr): `1.234,5`, `%12`, `22.11.2026 16:30`."""

from datetime import UTC, datetime

from apps.console import formats
from apps.console.formats import DASH, MINUS

_SWAPPED = str.maketrans(",.", ".,")
_MONTHS = (
    *("Ocak", "Şubat", "Mart", "Nisan", "Mayıs", "Haziran", "Temmuz"),
    *("Ağustos", "Eylül", "Ekim", "Kasım", "Aralık"),
)
_SPANS = {"d": "gün", "h": "sa", "min": "dk", "s": "sn"}


def number(value: float | None, digits: int = 1) -> str:
    """`1.234,5`."""
    return formats.number(value, digits).translate(_SWAPPED)


def units(value: float | None) -> str:
    """As in English, with a comma before the decimal."""
    return formats.units(value).translate(_SWAPPED)


def percent(share: float | None, digits: int = 0) -> str:
    """The sign stands before the number: `%12`, and a minus before it."""
    if share is None:
        return DASH
    text = number(share * 100, digits)
    return f"{MINUS}%{text.removeprefix(MINUS)}" if text.startswith(MINUS) else f"%{text}"


def signed(text: str) -> str:
    """A plus before a number or a percentage above zero."""
    bare = text.removeprefix("%")
    return f"+{text}" if formats.signed(bare) != bare else text


def money(cents: float | None) -> str:
    """Cents as `1.234,50`."""
    return formats.money(cents).translate(_SWAPPED)


def duration(seconds: float | None) -> str:
    """`2,5 sa`."""
    if seconds is None:
        return DASH
    value, _, unit = formats.duration(seconds).partition("\N{NO-BREAK SPACE}")
    return f"{value.translate(_SWAPPED)}\N{NO-BREAK SPACE}{_SPANS[unit]}"


def moment(at: datetime) -> str:
    """`22.11.2026 16:30 UTC`."""
    return at.astimezone(UTC).strftime("%d.%m.%Y %H:%M UTC")


def month(text: str, *, short: bool = False) -> str:
    """`Ocak 2026` of `2026-01`, `Oca 2026` where it is short."""
    return formats.month(text, short=short, names=_MONTHS)
