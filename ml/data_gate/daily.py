"""Checks of each newest day against the same weekday of the weeks before it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, cast

import numpy as np
import polars as pl

from ml.columns import CONTENT
from ml.data_gate.check import Check, Verdict, rows_of
from ml.data_gate.recent import Recent
from ml.data_gate.usual import Daily, level_of, pooled, usual_of

SMALLEST_SPREAD: Final = 0.08
"""A day's number of events is taken to move at least this much (log)."""

MOST_LEVEL: Final = float(np.log(2.0))
"""What a week of unusual days may explain of the next one, as a log of a ratio."""

HOURS: Final = 24
HOURS_BY_CHANCE: Final = 2.5
"""Standard error of the distance, in hours, of a day with one order: orders lie some five hours around their mean."""

FEWEST_KNOWN: Final = 3
"""Purchases of a product that say what it usually costs."""

Bounds = tuple[float, float]


def volume(recent: Recent) -> Check:
    """Events of a day, times too few for its weekday and its neighbours; times too many only warns."""
    settings, counts = recent.settings, recent.counts(recent.events)
    usual = usual_of(np.log1p(counts), recent)
    off = np.where(recent.usable, np.log1p(counts) - usual.median, np.nan)
    enough = np.expm1(usual.median) >= settings.smallest_events
    effect = np.where(enough, off - level_of(off, MOST_LEVEL), np.nan)
    noise = np.maximum(pooled(usual.spread), np.sqrt(_lines_together(recent) * np.exp(-usual.median))).clip(
        SMALLEST_SPREAD
    )
    rows = recent.frame(events=counts, usual=np.expm1(usual.median).round(1))
    bounds = float(np.log(settings.volume_warn)), float(np.log(settings.volume_fail))
    few = told(
        "volume",
        recent,
        Daily.of(recent, -effect, noise, bounds),
        rows=rows,
        said=lambda value: f"{value:.3g} times fewer events than usual",
        shown=np.exp,
    )
    if few.verdict != "pass":
        return few
    many = told(
        "volume",
        recent,
        Daily.of(recent, effect, noise, (bounds[0], bounds[0])),
        rows=rows,
        said=lambda value: f"{value:.3g} times as many events as usual",
        shown=np.exp,
    )
    if many.verdict == "pass":
        return few
    return replace(
        many, verdict="warn", threshold=None, reason=f"{many.reason.partition(';')[0]}; too many only warns"
    )


def repeated(recent: Recent) -> Check:
    """Share of a day's events that tell, under another id, what another one told."""
    content = pl.struct(CONTENT).hash()
    told_before = recent.events.select(again=~content.is_first_distinct(), twin=content.is_duplicated())
    frame = recent.events.with_columns(told_before)
    rows = frame.filter("twin").select("day", "event_id", "product_id")
    bounds = recent.settings.repeated_warn, recent.settings.repeated_fail
    return _share(
        "repeated", recent, frame, "again", bounds=bounds, said="tell what another one told", rows=rows
    )


def unseen_products(recent: Recent) -> Check:
    """Share of a day's events of products that were never seen before it."""
    bounds = recent.settings.unseen_products_warn, recent.settings.unseen_products_fail
    return _unseen(recent, "products", ("product_id", "new_product"), bounds)


def unseen_categories(recent: Recent) -> Check:
    """Share of a day's events of categories that were never seen before it."""
    bounds = recent.settings.unseen_categories_warn, recent.settings.unseen_categories_fail
    return _unseen(recent, "categories", ("category", "new_category"), bounds)


def price_jumps(recent: Recent) -> Check:
    """Share of a day's purchases at a price many times off what the product cost in the weeks before."""
    settings = recent.settings
    frame = _beside_usual(recent, "unit_price_cents")
    off = (pl.col("unit_price_cents").cast(pl.Float64).log() - pl.col("usual").log()).abs()
    frame = frame.with_columns((off >= np.log(settings.price_factor)).alias("jumps"))
    rows = frame.filter("jumps").select(
        "day", "event_id", "product_id", price_cents="unit_price_cents", usual_cents="usual"
    )
    bounds = settings.price_jumps_warn, settings.price_jumps_fail
    return _share(
        "price_jumps",
        recent,
        frame,
        "jumps",
        bounds=bounds,
        said="have a price far off their product's",
        rows=rows,
    )


def quantities(recent: Recent) -> Check:
    """Units of a day's purchases, times off what their products usually have in one: dozens for pieces."""
    settings = recent.settings
    frame = _beside_usual(recent, "quantity").with_columns(
        (pl.col("quantity").cast(pl.Float64).log() - pl.col("usual").log()).alias("off")
    )
    counts = recent.counts(frame)
    mean = np.where(counts >= settings.smallest_events, recent.counts(frame, pl.col("off").mean()), np.nan)
    usual = usual_of(mean, recent)
    spread = frame["off"].std()
    own = float(spread) if isinstance(spread, float) else np.nan
    noise = np.maximum(pooled(usual.spread), own / np.sqrt(counts.clip(1)))
    bounds = float(np.log(settings.quantity_warn)), float(np.log(settings.quantity_fail))
    found = Daily.of(recent, np.abs(mean - usual.median), noise, bounds)
    by_product = frame.group_by("day", "product_id").agg(
        pl.col("quantity").sum().alias("units"), pl.len().alias("purchases"), pl.col("usual").first()
    )

    def said(value: float) -> str:
        return f"units of a purchase are {value:.3g} times off what is usual"

    return told("quantities", recent, found, rows=by_product, said=said, shown=np.exp)


def hours(recent: Recent) -> Check:
    """Hours that a day's events lie from where those of its weekday lie: a wrong time zone moves them.

    The distance is Wasserstein's, the area between both distributions over the day, less what the earlier weeks
    are from each other.
    """
    settings = recent.settings
    order = pl.coalesce("order_id", "event_id")  # one large order is one moment, not hundreds
    present, table = recent.table(recent.events, "hour", order.n_unique())
    counts = np.zeros((len(recent.days), HOURS))
    counts[:, present] = table
    total = counts.sum(axis=1)
    shares = np.full(counts.shape, np.nan)
    enough = total >= settings.smallest_events
    shares[enough] = np.cumsum(counts[enough], axis=1) / total[enough, None]
    apart = np.abs(shares - usual_of(shares, recent).median).sum(axis=1)
    own = usual_of(apart, recent)
    before = apart[: -recent.judged]
    before = before[np.isfinite(before)]
    erratic = float(np.quantile(before, 0.95) - np.median(before)) if len(before) else 0.0
    noise = np.fmax(pooled(own.spread), np.maximum(erratic, HOURS_BY_CHANCE / np.sqrt(total.clip(1))))
    found = Daily.of(
        recent, apart - np.nan_to_num(own.median), noise, (settings.hours_warn, settings.hours_fail)
    )

    def said(value: float) -> str:
        return f"events lie {value:.3g} hours farther from their weekday's than usual"

    return told("hours", recent, found, rows=recent.frame(events=total), said=said)


def told(
    name: str,
    recent: Recent,
    found: Daily,
    *,
    rows: pl.DataFrame,
    said: Callable[[float], str],
    shown: Callable[[float], float] = float,
) -> Check:
    """The check of a daily statistic; of `rows`, which have a `day`, it names those of the days that were found."""
    verdict, days = found.found()
    count, named = rows_of(
        rows.filter(pl.col("day").is_in(days.astype("datetime64[D]").tolist())), recent.settings.rows_named
    )
    worst = found.worst()
    # Six digits: the order of the rows, in which a sum is made, must not show.
    value, bound = (float(f"{shown(part[worst]):.6g}") for part in (found.values, found.fail))
    reason = (
        f"{said(value)} on {found.days[worst]}, the worst of {np.isfinite(found.values).sum()} days;"
        f" {bound:.3g} fails"
    )
    return Check(name, cast("Verdict", verdict), value, bound, reason, count, named)


def _share(
    name: str,
    recent: Recent,
    frame: pl.DataFrame,
    flag: str,
    *,
    bounds: Bounds,
    said: str,
    rows: pl.DataFrame,
) -> Check:
    """A share of each day's rows, above that of its weekday and in parts of what could be above."""
    total, flagged = recent.counts(frame), recent.counts(frame.filter(flag))
    share = np.where(total >= recent.settings.smallest_events, flagged / total.clip(1), np.nan)
    usual = usual_of(share, recent)
    room = np.where(usual.median < 1, 1 - usual.median, np.nan)
    noise = np.maximum(
        pooled(usual.spread), np.sqrt((usual.median * room + 1 / total.clip(1)) / total.clip(1))
    )
    found = Daily.of(recent, (share - usual.median) / room, noise / room, bounds)
    return told(
        name,
        recent,
        found,
        rows=rows,
        said=lambda value: f"{100 * value:.3g} % of the events, beyond what is usual, {said}",
    )


def _unseen(recent: Recent, things: str, columns: tuple[str, str], bounds: Bounds) -> Check:
    """Of things whose name is in the first column, new where the second says so."""
    name, new = columns
    rows = recent.events.filter(new).group_by("day", name).agg(pl.len().alias("events"))
    said = f"are of {things} never seen before"
    return _share(f"unseen_{things}", recent, recent.events, new, bounds=bounds, said=said, rows=rows)


def _lines_together(recent: Recent) -> float:
    """Variance of a day's events over their mean if orders came by chance (compound Poisson); 1 for single events."""
    together = pl.coalesce("order_id", "session_id", "event_id")
    sizes = recent.events.group_by(together).len()["len"].to_numpy().astype(np.float64)
    return float(np.sum(sizes**2) / np.sum(sizes)) if len(sizes) else 1.0


def _beside_usual(recent: Recent, column: str) -> pl.DataFrame:
    """Purchases with a `usual` value: the median of the product's purchases before the judged days."""
    before = recent.purchases.filter(pl.col("day") < recent.start).group_by("product_id")
    usual = before.agg(pl.col(column).median().alias("usual"), pl.len().alias("known")).filter(
        pl.col("known") >= FEWEST_KNOWN
    )
    return recent.purchases.join(usual, on="product_id").filter((pl.col(column) > 0) & (pl.col("usual") > 0))
