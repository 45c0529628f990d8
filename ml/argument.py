"""How the words of a command line become values; each refusal names the word and what was wanted."""

import math
import re
from argparse import ArgumentTypeError
from datetime import date
from pathlib import Path
from typing import Final

LEVELS: Final = ("debug", "info", "warning", "error")

MOST_CHARACTERS: Final = 1_000

_MONTH_FORM: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def month(text: str) -> str:
    """A month as YYYY-MM."""
    if not _MONTH_FORM.fullmatch(text):
        raise ArgumentTypeError(f"{text!r} is no month such as 2026-10")
    return text


def positive(text: str) -> int:
    """A whole number from 1."""
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def whole(text: str) -> int:
    """A whole number from 0."""
    if not (text.isascii() and text.isdecimal()):
        raise ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


def level(text: str) -> str:
    """A level of logging."""
    if text.lower() not in LEVELS:
        raise ArgumentTypeError(f"{text!r} is not one of {', '.join(LEVELS)}")
    return text.lower()


def day(text: str) -> str:
    """A day as YYYY-MM-DD."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no day such as 2026-11-20") from error


def newest_or_day(text: str) -> str:
    """A day as YYYY-MM-DD, or `newest`."""
    return text if text == "newest" else day(text)


def sentence(text: str) -> str:
    """One line of up to 1,000 characters that says something."""
    said = " ".join(text.split())
    if not said or not said.isprintable() or len(said) > MOST_CHARACTERS:
        raise ArgumentTypeError(f"{text[:40]!r} is no reason: one line of up to {MOST_CHARACTERS} characters")
    return said


def factor(text: str) -> float:
    """A finite number from 0."""
    try:
        times = float(text)
    except ValueError:
        times = math.nan
    if not 0 <= times < math.inf:
        raise ArgumentTypeError(f"{text!r} is no factor from 0 such as 1.8")
    return times


def pair(text: str) -> tuple[str, str]:
    """Two words around an equals sign."""
    field, equals, column = text.partition("=")
    if not (field and equals and column):
        raise ArgumentTypeError(f"{text!r} is not FIELD=COLUMN")
    return field, column


def shift(text: str) -> tuple[float, str]:
    """A factor and the month it counts for."""
    times, _, when = text.partition(":")
    return factor(times), month(when)


def shard(text: str) -> tuple[int, int]:
    """One of several equal shares, as I/N with I from 1 to N."""
    index, _, of = text.partition("/")
    share = positive(index), positive(of)
    if share[0] > share[1]:
        raise ArgumentTypeError(f"{text!r} is no share I/N with I from 1 to N such as 2/8")
    return share


def place(text: str) -> Path | str:
    """A folder, or `s3://BUCKET/PREFIX`."""
    from ml.location import location  # noqa: PLC0415 - not for --help

    return location(text)


def place_if_any(text: str) -> Path | str | None:
    """As `place`; an empty text is none, so that a workflow's parameter can say so."""
    return place(text) if text else None
