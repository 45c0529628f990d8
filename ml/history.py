"""Monthly demand of every product as dense arrays: what features, models and evaluation read.

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
_EXTRA_PREFIX: Final = "extra."


@dataclass(frozen=True, eq=False)
class History:
    """Units sold per product and month, one row per product, one column per consecutive month.

    Attributes:
        product_ids: One per row, unique.
        categories: One per row.
        months: (T,) `datetime64[M]`, consecutive, oldest first.
        units: (n, T) gross units, >= 0; NaN before the product's first sale, 0 where nothing sold.
        price_cents: (n, T) mean unit price, NaN where unknown.
        extra: (n, T) arrays by name, some of `EXTRA`; 0 where nothing happened. A missing name is unknown.

    Raises:
        ValueError: Shapes disagree, months have a gap, a name in `extra` is unknown, units are negative or
            missing after the first sale.
    """

    product_ids: tuple[str, ...]
    categories: tuple[str, ...]
    months: Months
    units: Floats
    price_cents: Floats
    extra: Mapping[str, Floats] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        shape = (len(self.product_ids), len(self.months))
        if len(self.categories) != shape[0]:
            raise ValueError(f"{len(self.categories)} categories for {shape[0]} products")
        for name, values in {"units": self.units, "price_cents": self.price_cents, **self.extra}.items():
            if values.shape != shape or values.dtype != np.float64:
                raise ValueError(f"{name} is {values.dtype} {values.shape}, wanted float64 {shape}")
        if unknown := sorted(set(self.extra) - set(EXTRA)):
            raise ValueError(f"unknown columns {unknown}, known are {list(EXTRA)}")
        if self.months.dtype != np.dtype("datetime64[M]"):
            raise ValueError(f"months are {self.months.dtype}, wanted datetime64[M]")
        if np.any(np.diff(self.months) != np.timedelta64(1, "M")):
            raise ValueError("months are not consecutive")
        _check_units(self.units)

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
        following: np.datetime64 = self.months[-1] + np.timedelta64(1, "M")
        return following

    def until(self, t: int) -> History:
        """The first `t` months, as seen by someone at the start of month index `t`; all rows, no copy."""
        if not 0 <= t <= self.T:
            raise ValueError(f"cannot cut at {t}, there are {self.T} months")
        return self._cut(np.arange(self.n), slice(0, t))

    def rows(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> History:
        """The products at `index` (positions or a mask), in that order, with all months."""
        return self._cut(np.arange(self.n)[index], slice(0, self.T))

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything as plain arrays (strings as fixed-width unicode), for storage without pickle."""
        arrays: dict[str, NDArray[np.generic]] = {
            "product_ids": np.array(self.product_ids, dtype=np.str_),
            "categories": np.array(self.categories, dtype=np.str_),
            "months": self.months.astype(np.int64),
            "units": self.units,
            "price_cents": self.price_cents,
        }
        return arrays | {_EXTRA_PREFIX + name: values for name, values in self.extra.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> History:
        """The inverse of `to_arrays`."""
        extra = {
            name.removeprefix(_EXTRA_PREFIX): values.astype(np.float64)
            for name, values in arrays.items()
            if name.startswith(_EXTRA_PREFIX)
        }
        return cls(
            product_ids=tuple(str(value) for value in arrays["product_ids"]),
            categories=tuple(str(value) for value in arrays["categories"]),
            months=arrays["months"].astype(np.int64).astype("datetime64[M]"),
            units=arrays["units"].astype(np.float64),
            price_cents=arrays["price_cents"].astype(np.float64),
            extra=extra,
        )

    def _cut(self, where: NDArray[np.integer], columns: slice) -> History:
        whole = len(where) == self.n and bool(np.all(where == np.arange(self.n)))

        def cut(values: Floats) -> Floats:
            return values[:, columns] if whole else values[where, columns]

        return History(
            product_ids=self.product_ids if whole else tuple(self.product_ids[i] for i in where),
            categories=self.categories if whole else tuple(self.categories[i] for i in where),
            months=self.months[columns],
            units=cut(self.units),
            price_cents=cut(self.price_cents),
            extra={name: cut(values) for name, values in self.extra.items()},
        )


def _check_units(units: Floats) -> None:
    missing = np.isnan(units)
    if np.any(missing[:, 1:] & ~missing[:, :-1]):
        raise ValueError("units are missing after the first sale; a month without sales is 0")
    if np.any(units[~missing] < 0) or np.any(np.isinf(units)):
        raise ValueError(f"units must be finite and >= 0, the smallest is {np.nanmin(units)}")
