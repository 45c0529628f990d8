"""Parts of a portfolio in which a forecast is judged on its own: class, size, category, price, age and revenue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ml.demand_class import CLASSES, demand_class
from ml.features import SEASON, window
from ml.history import Floats, History

SIZES: Final = ("small", "middle", "large")
PRICES: Final = ("low", "middle", "high")
AGES: Final = ("first year", "older")
REVENUES: Final = ("top tenth", "others")
TOP_SHARE: Final = 0.1
UNKNOWN: Final = "unknown"
MOST_CATEGORIES: Final = 10
"""The categories with most forecasts stand by name, the others together."""

OTHERS: Final = "all others"

Labels = NDArray[np.str_]
Mask = NDArray[np.bool_]
Value = TypeVar("Value", bound=np.generic)


def segments(history: History, origins: Sequence[int], counted: Mask) -> Iterator[tuple[str, str, Mask]]:
    """Kind, name and (n, origins) forecasts of each part that has any, most forecasts first.

    What a product is, it is by the months before the one that was forecast. Sizes (units a month in the last
    year) and prices part the forecasts in thirds.

    Args:
        history: All months.
        origins: Month indices that were forecast.
        counted: (n, origins) which forecasts count.
    """
    pasts = [history.until(t) for t in origins]
    kinds = {
        "demand class": _each(pasts, lambda past: np.array(CLASSES)[demand_class(past)]),
        "size": _thirds(_each(pasts, _size), counted, SIZES),
        "category": _categories(history, counted),
        "price": _thirds(_each(pasts, _price), counted, PRICES),
        "age": _each(pasts, lambda past: np.where(window(past.units, past.T).months < SEASON, *AGES)),
        "revenue": _top(_each(pasts, revenue), counted),
    }
    for kind, labels in kinds.items():
        names, counts = np.unique(labels[counted], return_counts=True)
        for name in names[np.argsort(-counts, kind="stable")]:
            yield kind, str(name), (labels == name) & counted


def revenue(past: History) -> Floats:
    """(n,) cents a product sold for in the last year, at its mean price; units where no price is known at all."""
    price = _price(past)
    cents = np.ones(past.n) if np.isnan(price).all() else np.nan_to_num(price)
    year = window(past.units, SEASON)
    total: Floats = np.nan_to_num(year.mean) * year.months * cents
    return total


def _size(past: History) -> Floats:
    return np.nan_to_num(window(past.units, SEASON).mean)


def _price(past: History) -> Floats:
    return window(past.price_cents, SEASON).mean


def _each(pasts: Sequence[History], value: Callable[[History], NDArray[Value]]) -> NDArray[Value]:
    return np.stack([value(past) for past in pasts], axis=1)


def _thirds(values: Floats, counted: Mask, names: Sequence[str]) -> Labels:
    known = values[counted & ~np.isnan(values)]
    cuts = np.quantile(known, [1 / 3, 2 / 3]) if known.size else np.zeros(2)
    labels: Labels = np.where(np.isnan(values), UNKNOWN, np.array(names)[np.digitize(values, cuts)])
    return labels


def _top(values: Floats, counted: Mask) -> Labels:
    """Products above nine tenths of those of the same month."""
    labels = np.full(values.shape, REVENUES[1], dtype=f"<U{max(map(len, REVENUES))}")
    for k in range(values.shape[1]):
        if counted[:, k].any():
            cut = np.quantile(values[counted[:, k], k], 1 - TOP_SHARE)
            labels[values[:, k] > cut, k] = REVENUES[0]
    return labels


def _categories(history: History, counted: Mask) -> Labels:
    names = np.array(history.categories)
    found, place = np.unique(names, return_inverse=True)
    forecasts = np.bincount(place, weights=counted.sum(axis=1), minlength=len(found))
    shown = found[np.argsort(-forecasts, kind="stable")[:MOST_CATEGORIES]]
    labels = np.where(np.isin(names, shown), names, OTHERS)
    return np.repeat(labels[:, np.newaxis], counted.shape[1], axis=1)
