"""Checks of what should be there every week: days, sources, kinds of events, products."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.data_gate.check import Check, judged, rows_of
from ml.data_gate.recent import Recent
from ml.data_gate.usual import WEEK, usual_of
from ml.errors import NotEnoughHistory
from ml.history import Floats

REGULAR_WEEKLY_EVENTS = 5
"""A product with five events in every week has none in one of 150 weeks by chance (Poisson)."""

FEWEST_REGULAR = 20


def gaps(recent: Recent) -> Check:
    """Days without any event whose weekday always has some."""
    settings, counts = recent.settings, recent.counts(recent.events)
    always = _regular(counts, recent)[-recent.judged :]
    if not always.any():
        raise NotEnoughHistory("no weekday has events in enough weeks")
    empty = always & (counts[-recent.judged :] == 0)
    days = recent.days[-recent.judged :][empty]
    count, named = rows_of(pl.DataFrame({"day": pl.Series(days, dtype=pl.Date)}), settings.rows_named)
    reason = f"{count} of {always.sum()} days have no event, though their weekday always has"
    return Check(
        "gaps",
        judged(count, 1, settings.gap_fail),
        float(count),
        float(settings.gap_fail),
        reason,
        count,
        named,
    )


def silent(recent: Recent) -> Check:
    """Days on which a source, or a kind of event, that is there every week sent nothing.

    A source that falls silent on a day on which new sources have at least half as many events as it usually has
    is taken to go on under their name: an inbox takes over from files.
    """
    settings, quiet, judgeable = recent.settings, [], False
    for key in ("source", "event_type"):
        keys, counts = recent.table(recent.events, key, pl.len())
        judged_days = slice(-recent.judged, None)
        new = (
            (counts[: -recent.judged] == 0).all(axis=0) if key == "source" else np.zeros(len(keys), np.bool_)
        )
        taken_over = 2 * counts[:, new].sum(axis=1)[:, None] >= np.nan_to_num(usual_of(counts, recent).median)
        regular = _regular(counts, recent)
        judgeable = judgeable or bool(regular[judged_days].any())
        for day, column in zip(
            *np.nonzero((regular & (counts == 0) & ~taken_over)[judged_days]), strict=True
        ):
            quiet.append({"day": recent.days[judged_days][day].item(), key: keys[column]})
    if not judgeable:
        raise NotEnoughHistory("no source and no kind of event is there every week")
    schema = {"day": pl.Date, "source": pl.String, "event_type": pl.String}
    count, named = rows_of(pl.DataFrame(quiet, schema=schema), settings.rows_named)
    reason = f"{count} times a day passed without a source or a kind of event that is there every week"
    fail = float(settings.silent_fail)
    return Check("silent", judged(count, 1, fail), float(count), fail, reason, count, named)


def vanished(recent: Recent) -> Check:
    """Share of the products with events in every week that had none in the last seven days."""
    settings, weeks = recent.settings, recent.settings.weeks
    last = recent.days[-1].item()
    age = ((pl.lit(last) - pl.col("day")).dt.total_days() // WEEK).alias("week")
    seen = recent.events.select("product_id", age).filter(pl.col("week") <= weeks)
    weekly = seen.group_by("product_id", "week").len()
    before = (
        weekly.filter((pl.col("week") > 0) & (pl.col("len") >= REGULAR_WEEKLY_EVENTS))
        .group_by("product_id")
        .agg(pl.len().alias("weeks"))
        .filter(pl.col("weeks") == weeks)
    )
    if before.height < FEWEST_REGULAR:
        raise NotEnoughHistory(
            f"{before.height} products have events in every week, {FEWEST_REGULAR} are needed"
        )
    gone = before.join(weekly.filter(pl.col("week") == 0), on="product_id", how="anti").select("product_id")
    count, named = rows_of(gone, settings.rows_named)
    share = count / before.height
    reason = f"{count} of {before.height} products that have events in every week had none in the seven days to {last}"
    verdict = judged(share, settings.vanished_warn, settings.vanished_fail)
    return Check("vanished", verdict, share, settings.vanished_fail, reason, count, named)


def _regular(counts: Floats, recent: Recent) -> NDArray[np.bool_]:
    """Whether a day usually has so many events that none at all is no chance."""
    usual, settings = usual_of(counts, recent), recent.settings
    known = np.isfinite(usual.median)
    median, spread = np.where(known, usual.median, 0.0), np.where(known, usual.spread, 0.0)
    sure = median >= settings.sigmas * np.maximum(spread, np.sqrt(median))
    usable = recent.usable if counts.ndim == 1 else recent.usable[:, None]
    regular: NDArray[np.bool_] = (median >= settings.smallest_events) & sure & usable
    return regular
