"""Events of a made-up shop, one Parquet file a month: for the demo, tests and benchmarks."""

from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.errors import BadEvents
from ml.progress import Progress, silent
from ml.synthetic_month import Month, month_length
from ml.synthetic_shop import make_shop


@dataclass(frozen=True)
class SyntheticReport:
    """What was written; `last_month` (YYYY-MM) is the running one, which has no full month of events yet."""

    events: int
    files: int
    products: int
    first_month: str
    last_month: str

    def to_json(self) -> dict[str, object]:
        """The report as plain values for `json.dumps`."""
        return asdict(self)


def make_events(
    out: Path,
    *,
    products: int = 200,
    months: int = 36,
    seed: int = 7,
    end: str = "2026-11-20",
    shift: tuple[float, str] | None = None,
    progress: Progress = silent,
) -> SyntheticReport:
    """Write `<YYYY-MM>.parquet` for `months` full months and the running one, in the columns of an `Event`.

    The same arguments give the same rows. About four events per order line: views and carts rise a month
    before sales, a twenty-fifth of the lines is returned within four weeks under its order id.

    Args:
        out: Folder, made if missing.
        products: How many products the shop has.
        months: Full months before the month of `end`.
        seed: Another seed is another shop.
        end: Last day of events, in `ZONE`.
        shift: (factor, month): the sales of that month (YYYY-MM) are multiplied, and nobody saw it coming:
            the events before it stay the same.
        progress: Told about files written.

    Raises:
        BadEvents: `unknown-month`: the month of `shift` is not one of the written ones.
    """
    last_day = date.fromisoformat(end)
    span = _span(last_day, months)
    if shift is not None and shift[1] not in span.astype(str):
        raise BadEvents(
            "unknown-month", f"month {shift[1]!r} is not between {span[0]} and {span[-1]}; name one that is"
        )
    shop = make_shop(products, np.append(span, span[-1] + 1), seed)
    out.mkdir(parents=True, exist_ok=True)
    late, events = pl.DataFrame(), 0
    for t, month in enumerate(span):
        maker = Month(
            shop, t, month, _days(month, last_day), np.random.default_rng([seed, products, t]), shift
        )
        frame, late = maker.events(late, last_day)
        frame.write_parquet(out / f"{month}.parquet")
        events += frame.height
        progress(t + 1, len(span), f"make {month}")
    return SyntheticReport(events, len(span), products, str(span[0]), str(span[-1]))


def _span(last_day: date, months: int) -> NDArray[np.datetime64]:
    """The full months and the running one, as datetime64[M]."""
    running = np.datetime64(last_day, "M")
    return np.arange(running - months, running + 1)


def _days(month: np.datetime64, last_day: date) -> int:
    """Days of the month that have events."""
    return last_day.day if month == np.datetime64(last_day, "M") else month_length(month)
