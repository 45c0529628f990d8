"""Features of the next month's demand, one function for training and serving.

Every value is a function of the given history only, so a history cut at an origin cannot leak what came
after. Sums run column by column in a fixed order: the row of one product has the same bits alone and among
ten thousand. Volumes are divided by the product's `level`, so products of all sizes can share one model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ml.category_paths import category_paths
from ml.history import EXTRA, History

Floats = NDArray[np.float64]

SEASON: Final = 12
"""Months that say how a product sells now; not how often demand repeats, which is `History.season`."""

LAGS: Final = (1, 2, 3, 4, 5, 6, 9)
SEASONAL_LAGS: Final = {"before_season": -1, "season": 0, "after_season": 1}
"""Lags of one season and its neighbours."""

WINDOWS: Final = (3, 6, 12)
SMALLEST_SCALE: Final = 0.5
LARGEST_GROWTH: Final = 10.0
_FEW: Final = 32
"""Up to so many products one pass that keeps partial sums is faster than adding row by row."""

_MEMORY: Final = 0.8
_SEEN: Final[WeakKeyDictionary[History, dict[int, Window]]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class CategoryTotals:
    """Units of whole categories: (c, T) `totals`, one row per name, aligned at the last month.

    `paths` is (c, T + 1), see `ml.category_paths`. With a plan there is none, and `planned_prices` is (c,) the mean
    of its products' planned price over their usual one.
    """

    names: tuple[str, ...]
    totals: Floats
    planned_prices: Floats | None = None
    paths: Floats | None = None

    def rows(self, history: History) -> NDArray[np.intp]:
        """(n,) the row of each product's category, the one after the last for a category that is not here."""
        return _positions(history.categories, self.names)


@dataclass(frozen=True)
class Window:
    """Statistics of the last months since the first sale, each (n,); NaN where there is no month."""

    months: Floats
    mean: Floats
    deviation: Floats
    largest: Floats
    nonzero_share: Floats


def category_totals(history: History) -> CategoryTotals:
    """Units sold per category and month, their paths, and prices planned for the next; names sorted.

    Sums of whole units are exact and prices are added in the order of their size, so that of the rows does not
    matter.
    """
    names = tuple(sorted(set(history.categories)))
    code = _positions(history.categories, names)
    totals = np.zeros((len(names), history.T))
    for t in range(history.T):
        totals[:, t] = np.bincount(code, weights=_known(history.units[:, t]), minlength=len(names))
    if not history.plan and history.T:
        phases = np.append(history.phases, history.next_phase)
        return CategoryTotals(names, totals, paths=category_paths(totals, phases, history.season))
    if "price_cents" not in history.plan:
        return CategoryTotals(names, totals)
    price = relative_planned_price(history)
    order = np.argsort(price, kind="stable")
    order = order[~np.isnan(price[order])]
    count = np.bincount(code[order], minlength=len(names)).astype(np.float64)
    total = np.bincount(code[order], price[order], len(names)).astype(np.float64)
    return CategoryTotals(names, totals, ratio(total, count))


def price_path(history: History) -> Floats:
    """(n, T) unit price in cents of the past: as planned, or as paid where none was."""
    planned = history.planned("price_cents")[:, :-1]
    return np.where(np.isnan(planned), history.price_cents, planned)


def relative_planned_price(history: History) -> Floats:
    """(n,) planned price of the next month over the mean of the last twelve; needs a plan of prices."""
    return ratio(history.plan["price_cents"][:, -1], window(price_path(history), SEASON).mean)


def scale(history: History) -> Floats:
    """(n,) mean |y_t - y_(t-1)| since the first sale, at least 0.5 units: what errors are divided by."""
    return np.maximum(_mean_step(history, np.abs), SMALLEST_SCALE)


def squared_scale(history: History) -> Floats:
    """(n,) mean (y_t - y_(t-1))^2 since the first sale, at least 0.25: what squared errors are divided by."""
    return np.maximum(_mean_step(history, np.square), SMALLEST_SCALE**2)


def level(history: History) -> Floats:
    """(n,) units a month, the mean of the last 12 months kept away from zero: what volumes are divided by."""
    return _level(_mean(history.units, SEASON))


def _level(mean: Floats) -> Floats:
    return np.fmax(mean, 0.25) + 0.25


def window(values: Floats, months: int) -> Window:
    """Statistics of the last `months` columns of an (n, T) array, NaN ignored."""
    columns = _last(values, months)
    known = ~np.isnan(columns)
    units, n = np.where(known, columns, 0.0), values.shape[0]
    count, total = _summed(known, n), _summed(units, n)
    nonzero, largest = _summed(units > 0, n), np.fmax.reduce(columns, axis=0, initial=np.nan)
    mean = ratio(total, count)
    squares = _summed(np.where(known, (units - mean) ** 2, 0.0), n)
    return Window(count, mean, np.sqrt(ratio(squares, count)), largest, ratio(nonzero, count))


def seen(history: History, months: int) -> Window:
    """`window` of a history's units, made once for as long as the history is there: half a dozen parts ask for it."""
    windows = _SEEN.setdefault(history, {})
    if months not in windows:
        windows[months] = window(history.units, months)
    return windows[months]


def build(history: History, categories: CategoryTotals) -> Floats:
    """(n, len(FEATURES)) features of `history.next_month`; NaN where something is unknown.

    Args:
        history: Months before the one to forecast.
        categories: Totals of all products in the same months; a category that is not in it has NaN shares.
    """
    size = _level(seen(history, SEASON).mean)
    columns = {**_volumes(history, size), **_shape(history, size), **_calendar(history)}
    columns |= _categories(history, categories) | _prices(history) | _events(history, size)
    return np.column_stack([columns[name] for name in FEATURES])


def _volumes(history: History, size: Floats) -> dict[str, Floats]:
    units = history.units
    lags = {f"lag_{k}": lag(units, k) / size for k in LAGS}
    lags |= {f"lag_{name}": lag(units, history.season + k) / size for name, k in SEASONAL_LAGS.items()}
    columns = dict(lags, momentum=lags["lag_1"] - lags["lag_2"])
    for months in WINDOWS:
        recent = seen(history, months)
        columns[f"mean_{months}"] = recent.mean / size
        columns[f"deviation_{months}"] = recent.deviation / size
        columns[f"largest_{months}"] = recent.largest / size
        columns[f"median_{months}"] = _median(units, months, recent.months) / size
        columns[f"nonzero_share_{months}"] = recent.nonzero_share
    return columns


def _shape(history: History, size: Floats) -> dict[str, Floats]:
    columns = _last(history.units, history.T)
    known = ~np.isnan(columns)
    units = np.where(known, columns, 0.0)
    smooth, weight = (_smoothed_one if history.n == 1 else _smoothed)(known, units)
    months = _summed(known, history.n)
    return {
        "smoothed": ratio(smooth, weight) / size,
        "mean_all": ratio(_summed(units, history.n), months) / size,
        "age_months": months,
        "months_since_sale": _months_since(units > 0),
        "log_level": np.log(size),
    }


def _smoothed(known: NDArray[np.bool_], units: Floats) -> tuple[Floats, Floats]:
    """(n,) exponentially weighted sum of the (months, n) known units, and of the weights."""
    smooth, weight = np.zeros((2, units.shape[1]))
    for seen, unit in zip(known, units, strict=True):
        np.copyto(smooth, _MEMORY * smooth + (1 - _MEMORY) * unit, where=seen)
        np.copyto(weight, _MEMORY * weight + (1 - _MEMORY), where=seen)
    return smooth, weight


def _smoothed_one(known: NDArray[np.bool_], units: Floats) -> tuple[Floats, Floats]:
    """The same bits for one product, in a tenth of the time: a live forecast has one."""
    smooth = weight = 0.0
    for unit in units[known].tolist():
        smooth = _MEMORY * smooth + (1 - _MEMORY) * unit
        weight = _MEMORY * weight + (1 - _MEMORY)
    return np.array([smooth]), np.array([weight])


def _months_since(sold: NDArray[np.bool_]) -> Floats:
    """(n,) months after the last of the (months, n) in which something happened; NaN where nothing did."""
    latest: Floats = np.where(sold.any(axis=0), np.argmax(sold[::-1], axis=0), np.nan)
    return latest


def _calendar(history: History) -> dict[str, Floats]:
    angle = 2 * math.pi * history.next_phase / history.season
    return {
        "month_sin": np.full(history.n, math.sin(angle)),
        "month_cos": np.full(history.n, math.cos(angle)),
    }


def _categories(history: History, categories: CategoryTotals) -> dict[str, Floats]:
    code = _positions(history.categories, categories.names)
    lags = (1, 2, history.season, history.season + 1)
    of_category = [np.append(lag(categories.totals, k), np.nan) for k in lags]
    of_shop = [np.full(1, _total(categories.totals, k)) for k in lags]
    return {
        "category_share": ratio(of_category[0], np.repeat(of_shop[0], len(categories.names) + 1))[code],
        "category_growth": _growth(of_category[0], of_category[1])[code],
        "category_growth_last_year": _growth(of_category[2], of_category[3])[code],
        "shop_growth": np.repeat(_growth(of_shop[0], of_shop[1]), history.n),
        "shop_growth_last_year": np.repeat(_growth(of_shop[2], of_shop[3]), history.n),
    }


def _prices(history: History) -> dict[str, Floats]:
    usual = _mean(history.price_cents, SEASON)
    return {
        "relative_price": ratio(lag(history.price_cents, 1), usual),
        "price_change": ratio(lag(history.price_cents, 1), lag(history.price_cents, 2)),
        "price_cents": usual,
    }


def _events(history: History, size: Floats) -> dict[str, Floats]:
    unknown = np.full(history.n, np.nan)
    columns = {f"{name}_{k}": unknown for name in EXTRA for k in (1, WINDOWS[0])}
    for name, counts in history.extra.items():
        values = np.where(np.isnan(history.units), np.nan, counts)
        divisor = 1.0 if name == "active_days" else size
        columns[f"{name}_1"] = lag(values, 1) / divisor
        columns[f"{name}_3"] = _mean(values, WINDOWS[0]) / divisor
    return columns


def lag(values: Floats, k: int) -> Floats:
    """(n,) the column `k` months before the month to forecast; NaN before the data begin."""
    return values[:, -k].copy() if 0 < k <= values.shape[1] else np.full(values.shape[0], np.nan)


def _last(values: Floats, months: int) -> Floats:
    """(months, n) the last columns of an (n, T) array, each in one piece."""
    return np.ascontiguousarray(values[:, max(0, values.shape[1] - months) :].T)


def _mean(values: Floats, months: int) -> Floats:
    """(n,) mean of the last columns, NaN ignored; NaN where there is none."""
    columns = _last(values, months)
    known = ~np.isnan(columns)
    return ratio(_summed(np.where(known, columns, 0.0), len(values)), _summed(known, len(values)))


def _summed(rows: NDArray[np.float64] | NDArray[np.bool_], n: int) -> Floats:
    """(n,) the sum of rows of n, in their order: that of a reduction depends on how many there are."""
    if n <= _FEW and len(rows):
        last: Floats = np.add.accumulate(rows, axis=0, dtype=np.float64)[-1]
        return last
    total = np.zeros(n)
    for row in rows:
        total += row
    return total


@lru_cache(maxsize=4)
def _positions(names: tuple[str, ...], known: tuple[str, ...]) -> NDArray[np.intp]:
    """(n,) place of each name among the known ones, the one after the last for another; kept for the next origin."""
    place = {name: i for i, name in enumerate(known)}
    found = np.fromiter(map(place.get, names, repeat(len(known))), dtype=np.intp, count=len(names))
    found.flags.writeable = False
    return found


def _mean_step(history: History, size: Callable[[Floats], Floats]) -> Floats:
    total, count = np.zeros(history.n), np.zeros(history.n)
    columns = _last(history.units, history.T)
    for now, before in zip(columns[1:], columns[:-1], strict=True):
        step = size(now - before)
        total, count = total + _known(step), count + ~np.isnan(step)
    mean: Floats = total / np.maximum(count, 1.0)
    return mean


def _median(values: Floats, months: int, known: Floats) -> Floats:
    recent = np.sort(values[:, max(0, values.shape[1] - months) :], axis=1)  # NaN sorts last
    count, row = known.astype(np.intp), np.arange(values.shape[0])
    below = recent[row, np.maximum(count - 1, 0) // 2]
    above = recent[row, np.minimum(count // 2, recent.shape[1] - 1)]
    middle: Floats = 0.5 * (below + above)
    return middle


def _total(totals: Floats, k: int) -> float:
    return float(math.fsum(totals[:, -k])) if totals.shape[1] >= k else math.nan


def _growth(now: Floats, before: Floats) -> Floats:
    return np.minimum(ratio(now, before), LARGEST_GROWTH)


def ratio(top: Floats, bottom: Floats) -> Floats:
    """Elementwise quotient; NaN where the divisor is 0 or unknown."""
    quotient: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return quotient


def _known(values: Floats) -> Floats:
    return np.where(np.isnan(values), 0.0, values)


FEATURES: Final = (
    *(f"lag_{k}" for k in (*LAGS, *SEASONAL_LAGS)),
    "momentum",
    *(f"{name}_{k}" for k in WINDOWS for name in ("mean", "deviation", "largest", "median", "nonzero_share")),
    *("smoothed", "mean_all", "age_months", "months_since_sale", "log_level", "month_sin", "month_cos"),
    *(
        "category_share",
        "category_growth",
        "category_growth_last_year",
        "shop_growth",
        "shop_growth_last_year",
    ),
    *("relative_price", "price_change", "price_cents"),
    *(f"{name}_{k}" for name in EXTRA for k in (1, 3)),
)
"""Names of the columns of `build`, in order."""
