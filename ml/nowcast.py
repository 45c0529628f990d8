"""The month that is still open, estimated from its days so far; shown beside a forecast, never learned from.

Days count by how much their weekday sells. Where in a month a product sells is learned from closed months, shrunk to
its category and that to the shop. What the rest of the month sells lies between the pace so far and the last
months; how far, and how wrong it is, is told by the same estimate on closed months at the same point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ml.exposure import unseen_units

Floats = NDArray[np.float64]

MONTHS_NEEDED: Final = 4
"""Closed months; three of them make the usual month, and one is there to learn from."""

ERRORS_NEEDED: Final = 10
"""Fewer past errors give no interval."""

USUAL_MONTHS: Final = 3
PROFILE_WEIGHTS: Final = (30.0, 300.0, 3_000.0)
"""Weights to try of the category in a product's profile, and of the shop in a category's, in units."""

USUAL_WEIGHTS: Final = (0.02, 0.1, 0.3, 0.6, 1.0, 2.0, 5.0)
"""Weights to try of the usual month against the pace so far, in months."""

SIZES: Final = 3
LOWER: Final = 0.1
UPPER: Final = 0.9
DIGITS: Final = 2


@dataclass(frozen=True, eq=False)
class DailyUnits:
    """Units by product and day, from the first day of a closed month to the last complete day.

    Attributes:
        product_ids: One per row, sorted.
        categories: One per row.
        days: (D,) `datetime64[D]`, consecutive.
        units: (n, D) gross units.
        month: The open month, `datetime64[M]`; all days before it belong to closed months.
    """

    product_ids: tuple[str, ...]
    categories: tuple[str, ...]
    days: NDArray[np.datetime64]
    units: Floats
    month: np.datetime64

    @property
    def days_of_month(self) -> int:
        """Days of the open month that are over."""
        return int(np.sum(self.days.astype("datetime64[M]") == self.month))


@dataclass(frozen=True, eq=False)
class _Seen:
    """Units of rows by month, as of the same point of each month; the last column is the open one.

    Attributes:
        so_far: (rows, months) units up to the point.
        total: (rows, months) units of whole months; of the open one nothing is known.
        group: (rows,) the row of `above` whose profile a row is shrunk to.
        above: The groups of these rows; None for the shop.
    """

    so_far: Floats
    total: Floats
    group: NDArray[np.intp]
    above: _Seen | None

    def share(self, t: int, weight: float, elapsed: float) -> Floats:
        """(rows,) share of a month's units that come before the point, learned from months before `t`."""
        above = np.array([elapsed]) if self.above is None else self.above.share(t, weight, elapsed)
        prior = above[self.group]
        so_far, total = self.so_far[:, :t].sum(axis=1), self.total[:, :t].sum(axis=1)
        learned: Floats = (so_far + weight * prior) / (total + weight)
        return learned

    def expected(self, t: int, weights: tuple[float, float], elapsed: float) -> tuple[Floats, Floats]:
        """(rows,) units of the rest of month `t`, and of the whole month, from what was known at the point."""
        share, so_far = self.share(t, weights[0], elapsed), self.so_far[:, t]
        usual = self.total[:, max(0, t - USUAL_MONTHS) : t].mean(axis=1)
        first_sold = self.total[:, :t].sum(axis=1) == 0
        usual = np.where(first_sold, so_far / np.maximum(share, np.finfo(float).tiny), usual)
        rest = np.zeros(len(so_far)) if elapsed >= 1 else unseen_units(so_far, share, usual, weights[1])
        return rest, so_far + rest


def nowcast(daily: DailyUnits) -> dict[str, Any]:
    """The open month by shop, category and product, as plain values for JSON.

    Each line has `so_far`, the `expected` units of the whole month, and `p10` and `p90`, of which the month is
    between in four of five cases; they are null where fewer than ten past errors are known. Where nothing can
    be said, `unknown` says why.
    """
    said: dict[str, Any] = {"month": str(daily.month), "days": daily.days_of_month}
    elapsed, months, so_far, total = _by_month(daily)
    if not daily.days_of_month:
        return said | {"unknown": f"no day of {daily.month} is over"}
    if months < MONTHS_NEEDED:
        return said | {"unknown": f"{months} closed months, the profile of a month needs {MONTHS_NEEDED}"}
    names, row = np.unique(np.array(daily.categories), return_inverse=True)
    shop = _Seen(so_far.sum(axis=0)[np.newaxis], total.sum(axis=0)[np.newaxis], np.zeros(1, np.intp), None)
    groups = [_grouped(values, row, len(names)) for values in (so_far, total)]
    categories = _Seen(groups[0], groups[1], np.zeros(len(names), np.intp), shop)
    products = _Seen(so_far, total, row, categories)
    return said | {
        "elapsed_share": round(elapsed, 4),
        "months_learned_from": months,
        "shop": _lines(shop, elapsed)[0],
        "categories": dict(zip(names.tolist(), _lines(categories, elapsed), strict=True)),
        "products": dict(zip(daily.product_ids, _lines(products, elapsed), strict=True)),
    }


def weekday_weights(days: NDArray[np.datetime64], units: Floats) -> Floats:
    """(7,) mean units of a Thursday (the first weekday of 1970) to a Wednesday; all 1 where nothing sold.

    Args:
        days: (D,) days.
        units: (D,) units of the shop.
    """
    weekday = days.astype(np.int64) % 7
    count = np.bincount(weekday, minlength=7)
    mean = np.bincount(weekday, weights=units, minlength=7) / np.maximum(count, 1)
    return np.maximum(mean / mean.mean(), 0.01) if mean.any() else np.ones(7)


def _by_month(daily: DailyUnits) -> tuple[float, int, Floats, Floats]:
    """Share of the open month that is over, closed months, and (n, months) units to that point and in all."""
    month = daily.days.astype("datetime64[M]")
    closed = month < daily.month
    weights = weekday_weights(daily.days[closed], daily.units[:, closed].sum(axis=0))
    first = month[0] if len(month) else daily.month
    months = np.arange(first, daily.month + 1)
    elapsed = float(_reached(daily.month, weights)[daily.days_of_month])
    so_far = np.zeros((len(daily.product_ids), len(months)))
    total = np.zeros(so_far.shape)
    for t, one in enumerate(months):
        units = daily.units[:, month == one]
        reached = _reached(one, weights)
        part = np.clip((elapsed - reached[:-1]) / np.diff(reached), 0.0, 1.0)[: units.shape[1]]
        so_far[:, t], total[:, t] = units @ part, units.sum(axis=1)
    so_far[:, -1] = total[:, -1]
    return elapsed, len(months) - 1, so_far, total


def _reached(month: np.datetime64, weights: Floats) -> Floats:
    """(days + 1,) share of a month's weight before each of its days, and 1."""
    days = np.arange(month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]"))
    weight = np.concatenate([[0.0], np.cumsum(weights[days.astype(np.int64) % 7])])
    share: Floats = weight / weight[-1]
    return share


def _grouped(values: Floats, row: NDArray[np.intp], groups: int) -> Floats:
    summed = np.zeros((groups, values.shape[1]))
    np.add.at(summed, row, values)
    return summed


def _lines(seen: _Seen, elapsed: float) -> list[dict[str, float | None]]:
    past = range(USUAL_MONTHS, seen.total.shape[1] - 1)
    weights = min(
        product(PROFILE_WEIGHTS, USUAL_WEIGHTS), key=lambda pair: _squared_error(seen, past, pair, elapsed)
    )
    rest, expected = seen.expected(seen.total.shape[1] - 1, weights, elapsed)
    made = [seen.expected(t, weights, elapsed) for t in past]
    before = np.concatenate([one for one, _ in made])
    error = np.concatenate([seen.total[:, t] - whole for t, (_, whole) in zip(past, made, strict=True)])
    known = np.concatenate([seen.total[:, : t + 1].any(axis=1) for t in past])
    low, high = _interval(before[known], error[known], rest)
    so_far = seen.so_far[:, -1]
    columns = {
        "so_far": so_far,
        "expected": expected,
        "p10": np.maximum(so_far, expected + low),
        "p90": np.maximum(so_far, expected + high),
    }
    rows = zip(*(column.round(DIGITS).tolist() for column in columns.values()), strict=True)
    return [
        {name: None if np.isnan(units) else units for name, units in zip(columns, row, strict=True)}
        for row in rows
    ]


def _squared_error(seen: _Seen, past: Sequence[int], weights: tuple[float, float], elapsed: float) -> float:
    """Of the closed months' expected units; a row counts by one over its mean, as counts vary by it."""
    size = 1.0 + seen.total[:, :-1].mean(axis=1)
    errors = [(seen.total[:, t] - seen.expected(t, weights, elapsed)[1]) ** 2 / size for t in past]
    return float(np.sum(errors))


def _interval(rest: Floats, error: Floats, now: Floats) -> tuple[Floats, Floats]:
    """Ends of the interval around `now`, from past errors of rows with as much to come; NaN without ten."""
    low, high = np.full(len(now), np.nan), np.full(len(now), np.nan)
    if not len(rest):
        return low, high
    pools = SIZES if len(rest) >= SIZES * ERRORS_NEEDED**2 else 1
    cuts = np.quantile(rest, np.arange(1, pools) / pools)
    pool, here = np.digitize(rest, cuts), np.digitize(now, cuts)
    for k in range(pools):
        own = (error / _spread(rest))[pool == k]
        if len(own) >= ERRORS_NEEDED:
            outward = np.floor(LOWER * (len(own) + 1)) / len(own), np.ceil(UPPER * (len(own) + 1)) / len(own)
            ends = np.quantile(own, np.clip(outward, 0.0, 1.0))
            low[here == k], high[here == k] = (end * _spread(now[here == k]) for end in ends)
    return low, high


def _spread(rest: Floats) -> Floats:
    """Units of a usual error: counting noise and a part of what is to come."""
    spread: Floats = np.sqrt(rest) + 0.15 * rest + 0.05
    return spread
