"""One product's own months as a caller sends them, and as training sees them."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ml.events import ProductId, Text
from ml.history import EXTRA, Floats, History

MOST_MONTHS = 600

_Units = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
_Price = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]


class ProductHistory(BaseModel):
    """Months of one product from its first sale, oldest first, without a gap; a month without sales is 0.

    `price_cents` is the mean price of each month, null where nothing sold. `extra` holds what else is known
    of each month, by the names of `ml.history.EXTRA`. What is left out counts as unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    product_id: ProductId
    category: Text = "unknown"
    first_month: str = Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", examples=["2024-01"])
    units: list[_Units] = Field(min_length=1, max_length=MOST_MONTHS)
    price_cents: list[_Price | None] | None = None
    extra: dict[str, list[_Units]] = Field(default_factory=dict)

    @field_validator("extra")
    @classmethod
    def _known(cls, extra: dict[str, list[float]]) -> dict[str, list[float]]:
        if unknown := sorted(set(extra) - set(EXTRA)):
            raise ValueError(f"{unknown[0]!r} is not one of {', '.join(EXTRA)}")
        return extra

    @model_validator(mode="after")
    def _as_long_as_units(self) -> "ProductHistory":
        for name, values in {"price_cents": self.price_cents or self.units, **self.extra}.items():
            if len(values) != len(self.units):
                raise ValueError(f"{name} has {len(values)} months, units has {len(self.units)}")
        return self

    @property
    def last_month(self) -> np.datetime64:
        """The month of the newest value."""
        last: np.datetime64 = np.datetime64(self.first_month, "M") + np.timedelta64(len(self.units) - 1, "M")
        return last

    @classmethod
    def of(cls, history: History, row: int) -> "ProductHistory":
        """The product in this row, as its owner would send it.

        Raises:
            ValueError: It was never sold.
        """
        sold = np.flatnonzero(~np.isnan(history.units[row]))
        if not sold.size:
            raise ValueError(f"product {history.product_ids[row]!r} has no month")
        own = slice(int(sold[0]), None)
        prices = history.price_cents[row, own].tolist()
        return cls(
            product_id=history.product_ids[row],
            category=history.categories[row],
            first_month=str(history.months[sold[0]]),
            units=history.units[row, own].tolist(),
            price_cents=[None if np.isnan(price) else price for price in prices],
            extra={name: values[row, own].tolist() for name, values in history.extra.items()},
        )

    def on(self, months: NDArray[np.datetime64]) -> History:
        """A history of one row on these months, NaN before the product's own.

        Raises:
            ValueError: The product's months do not end with the last of `months`, or begin before the first.
        """
        if self.last_month != months[-1]:
            raise ValueError(f"the history ends in {self.last_month}, this model forecasts from {months[-1]}")
        if len(self.units) > len(months):
            raise ValueError(
                f"the history begins in {self.first_month}, this model knows months from {months[0]}"
            )
        prices = [
            np.nan if price is None else price for price in self.price_cents or [None] * len(self.units)
        ]
        return History(
            product_ids=(self.product_id,),
            categories=(self.category,),
            months=months,
            units=_row(self.units, len(months), np.nan),
            price_cents=_row(prices, len(months), np.nan),
            extra={name: _row(values, len(months), 0.0) for name, values in self.extra.items()},
        )


def months_between(first: str, last: str) -> NDArray[np.datetime64]:
    """Every month from first to last ("YYYY-MM"), both included."""
    return np.arange(np.datetime64(first, "M"), np.datetime64(last, "M") + np.timedelta64(1, "M"))


def _row(values: Sequence[float], months: int, before: float) -> Floats:
    return np.array([[before] * (months - len(values)) + list(values)], dtype=np.float64)
