"""What one check of the gate found, and the rows it names."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import polars as pl

from ml.errors import NotEnoughHistory

Verdict = Literal["pass", "warn", "fail", "not enough data"]
Row = Mapping[str, str | int | float]

WORST_FIRST: Final[tuple[Verdict, ...]] = ("fail", "warn", "pass", "not enough data")


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: What was looked at.
        verdict: `not enough data` is no fault, and no word for the data either.
        value: What was measured, larger is worse; None where nothing could be.
        threshold: From this value on the check fails; None where it can only warn.
        reason: One sentence with the numbers.
        count: Rows that were found wrong, of which `rows` are the first.
        rows: Ids of events, products and months, days: what to look at.
    """

    name: str
    verdict: Verdict
    value: float | None
    threshold: float | None
    reason: str
    count: int = 0
    rows: tuple[Row, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The check as plain values for `json.dumps`."""
        return asdict(self)


def failed(name: str, reason: str) -> Check:
    """A check that fails without a value: closed where nothing could be measured."""
    return Check(name, "fail", None, None, reason)


def judged(value: float, warn: float, fail: float) -> Verdict:
    """The verdict of a value of which larger is worse."""
    return "fail" if value >= fail else "warn" if value >= warn else "pass"


def closed(name: str, make: Callable[[], Check]) -> Check:
    """The check, or a failed one with the reason where it raised or measured no number."""
    try:
        made = make()
    except NotEnoughHistory as error:
        return Check(name, "not enough data", None, None, str(error))
    except Exception as error:  # noqa: BLE001 - whatever breaks a check must not open the gate
        return failed(name, f"the check could not be made ({type(error).__name__}: {error})")
    if made.verdict == "not enough data" or made.value is None or math.isfinite(made.value):
        return made
    return failed(name, f"the check measured no number: {made.value} ({made.reason})")


def overall(checks: Sequence[Check]) -> Verdict:
    """The worst verdict; a gate without any check fails."""
    found = {check.verdict for check in checks}
    return next((verdict for verdict in WORST_FIRST if verdict in found), "fail")


def rows_of(frame: pl.DataFrame, most: int) -> tuple[int, tuple[Row, ...]]:
    """How many rows there are, and the first of them by all columns; dates and months as text."""
    texts = frame.with_columns(pl.col(pl.Date).cast(pl.String), pl.col(pl.String).fill_null("null"))
    return frame.height, tuple(texts.sort(texts.columns, nulls_last=True).head(most).to_dicts())
