"""Demand of every product and month as dense arrays: what features, models and evaluation read.

A shop's periods are months; a panel file may have weeks, days or any other even step in their place.

Only numpy: the forecast service rebuilds a `History` from a request and runs the training code on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Months = NDArray[np.datetime64]

EXTRA: Final = ("orders", "buyers", "views", "carts", "returned_units", "largest_order", "active_days")

PLANNED: Final = ("price_cents", "promotion", "advertising", "shop_price")

SEASON: Final = 12
"""Months after which demand repeats itself."""


@dataclass(frozen=True, eq=False)
class History:
    """Units sold per product and month, one row per product, one column per consecutive month.

    Attributes:
        product_ids: One per row, unique.
        categories: One per row.
        months: (T,) first day of each period, `datetime64[M]` (or `[D]` where periods are not months), `step`
            apart, oldest first.
        units: (n, T) gross units, >= 0; NaN before the product's first sale, 0 where nothing sold, NaN after
            the last period in which the product was listed.
        price_cents: (n, T) mean unit price, NaN where unknown.
        extra: (n, T) arrays by name, some of `EXTRA`; 0 where nothing happened. A missing name is unknown.
        plan: (n, T + 1) arrays by name, some of `PLANNED`: what was planned for each month before it began, the
            last column for `next_month`. Unit price in cents, > 0; promotion and advertising in any unit, >= 0;
            NaN where nothing was planned. `shop_price` is an index of the planned prices of all products, > 0.
        season: Periods after which demand repeats itself, >= 1.
        step: Months or days from one period to the next, >= 1.

    Raises:
        ValueError: Shapes disagree, months have a gap, a name in `extra` or `plan` is unknown, units are
            negative or missing between two known ones, a planned value is negative, season or step are below 1.
    """

    product_ids: tuple[str, ...]
    categories: tuple[str, ...]
    months: Months
    units: Floats
    price_cents: Floats
    extra: Mapping[str, Floats] = field(default_factory=lambda: MappingProxyType({}))
    season: int = SEASON
    step: int = 1
    plan: Mapping[str, Floats] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        shape = (len(self.product_ids), len(self.months))
        if len(self.categories) != shape[0]:
            raise ValueError(f"{len(self.categories)} categories for {shape[0]} products")
        _check_arrays({"units": self.units, "price_cents": self.price_cents, **self.extra}, shape)
        _check_arrays(self.plan, (shape[0], shape[1] + 1))
        for found, known in ((self.extra, EXTRA), (self.plan, PLANNED)):
            if unknown := sorted(set(found) - set(known)):
                raise ValueError(f"unknown columns {unknown}, known are {list(known)}")
        if self.months.dtype not in (np.dtype("datetime64[M]"), np.dtype("datetime64[D]")):
            raise ValueError(f"months are {self.months.dtype}, wanted datetime64[M] or datetime64[D]")
        if min(self.season, self.step) < 1:
            raise ValueError(f"season {self.season} and step {self.step} must be at least 1")
        if np.any(np.diff(self.months.astype(np.int64)) != self.step):
            raise ValueError("months are not consecutive")
        _check_units(self.units)
        _check_plan(self.plan)

    @property
    def n(self) -> int:
        """Number of products."""
        return len(self.product_ids)

    @property
    def T(self) -> int:  # noqa: N802  (the literature's name for the number of periods)
        """Number of months."""
        return len(self.months)

    @property
    def next_month(self) -> np.datetime64:
        """The month after the last one: what a forecast from this history is about.

        Raises:
            ValueError: There are no months.
        """
        if not self.T:
            raise ValueError("a history without months has no next month")
        following: np.datetime64 = self.months[-1] + self.step
        return following

    @property
    def phases(self) -> NDArray[np.int64]:
        """(T,) place of each month in its season, 0 to `season` - 1; of calendar months January is 0."""
        return self.months.astype(np.int64) // self.step % self.season

    @property
    def next_phase(self) -> int:
        """Place of `next_month` in its season."""
        return int(self.next_month.astype(np.int64)) // self.step % self.season

    def planned(self, name: str) -> Floats:
        """(n, T + 1) one of `PLANNED` in months with known units and the next one; NaN where nothing was planned."""
        values = self.plan.get(name)
        if values is None:
            return np.full((self.n, self.T + 1), np.nan)
        off = np.column_stack([np.isnan(self.units), np.zeros(self.n, dtype=np.bool_)])
        return np.where(off, np.nan, values)

    def until(self, t: int) -> History:
        """The first `t` months and the plan of the next, as seen at the start of month `t`; all rows, no copy."""
        if not 0 <= t <= self.T:
            raise ValueError(f"cannot cut at {t}, there are {self.T} months")
        return self._cut(np.arange(self.n), t)

    def rows(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> History:
        """The products at `index` (positions or a mask), in that order, with all months."""
        return self._cut(np.arange(self.n)[index], self.T)

    def _cut(self, where: NDArray[np.integer], t: int) -> History:
        whole = len(where) == self.n and bool(np.all(where == np.arange(self.n)))

        def cut(values: Floats, months: int = t) -> Floats:
            return values[:, :months] if whole else values[where, :months]

        return History(
            product_ids=self.product_ids if whole else tuple(self.product_ids[i] for i in where),
            categories=self.categories if whole else tuple(self.categories[i] for i in where),
            months=self.months[:t],
            units=cut(self.units),
            price_cents=cut(self.price_cents),
            extra={name: cut(values) for name, values in self.extra.items()},
            season=self.season,
            step=self.step,
            plan={name: cut(values, t + 1) for name, values in self.plan.items()},
        )


def _check_arrays(arrays: Mapping[str, Floats], shape: tuple[int, int]) -> None:
    for name, values in arrays.items():
        if values.shape != shape or values.dtype != np.float64:
            raise ValueError(f"{name} is {values.dtype} {values.shape}, wanted float64 {shape}")


def _check_plan(plan: Mapping[str, Floats]) -> None:
    for name, values in plan.items():
        lowest = np.nextafter(0.0, 1.0) if "price" in name else 0.0
        if np.any(values < lowest) or np.any(np.isinf(values)):
            raise ValueError(f"planned {name} must be finite and not below {lowest:g}")


def _check_units(units: Floats) -> None:
    missing = np.isnan(units)
    starts = np.sum(missing[:, :-1] & ~missing[:, 1:], axis=1) + ~missing[:, :1].any(axis=1)
    if np.any(starts > 1):
        raise ValueError("units are missing after the first sale; a month without sales is 0")
    if np.any(units[~missing] < 0) or np.any(np.isinf(units)):
        raise ValueError(f"units must be finite and >= 0, the smallest is {np.nanmin(units)}")
