"""One product's own months as a caller sends them, and as training sees them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ml.events import ProductId, Text
from ml.history import EXTRA, Floats, History

MOST_MONTHS = 600

_Units = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
_Price = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

SHOP_PRICE: Final = "shop_price"
_OWN: Final[Mapping[str, str]] = {
    "price_cents": "price_cents",
    "promotion": "promotion",
    "advertising": "advertising_cents",
}
"""Field of `Plan` by name in `ml.history.PLANNED`, of what is planned for a product alone."""


class Plan(BaseModel):
    """What is planned for one month of a product; null is not planned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    price_cents: _Price | None = Field(default=None, description="Price of one unit.")
    promotion: _Share | None = Field(default=None, description="From 0, none, to 1, the whole month.")
    advertising_cents: _Units | None = Field(default=None, description="Spent on the product in the month.")

    @classmethod
    def of(cls, history: History, row: int, column: int) -> "Plan | None":
        """The plan of the product in this row for the month in this column, None where there is none."""
        found = {
            field: float(history.plan[name][row, column])
            for name, field in _OWN.items()
            if name in history.plan
        }
        known = {field: value for field, value in found.items() if not np.isnan(value)}
        return cls.model_validate(known) if known else None


def _is_none(value: object) -> bool:
    """A history without a plan is written as it was before there were plans, for services of then."""
    return value is None


class ProductHistory(BaseModel):
    """Months of one product from its first sale, oldest first, without a gap; a month without sales is 0.

    `price_cents` is the mean price of each month, null where nothing sold. `extra` holds what else is known
    of each month, by the names of `ml.history.EXTRA`. What is left out counts as unknown.

    `plan` is for the month to forecast, `past_plan` is what had been planned for the months of `units`. Where `plan`
    comes without it, they count as sold at their mean price, without promotion and advertising.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    product_id: ProductId
    category: Text = "unknown"
    first_month: str = Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", examples=["2024-01"])
    units: list[_Units] = Field(min_length=1, max_length=MOST_MONTHS)
    price_cents: list[_Price | None] | None = None
    extra: dict[str, list[_Units]] = Field(default_factory=dict)
    plan: Plan | None = Field(default=None, exclude_if=_is_none)
    past_plan: list[Plan | None] | None = Field(default=None, exclude_if=_is_none)

    @field_validator("extra")
    @classmethod
    def _known(cls, extra: dict[str, list[float]]) -> dict[str, list[float]]:
        if unknown := sorted(set(extra) - set(EXTRA)):
            raise ValueError(f"{unknown[0]!r} is not one of {', '.join(EXTRA)}")
        return extra

    @model_validator(mode="after")
    def _as_long_as_units(self) -> "ProductHistory":
        as_long = {
            "price_cents": self.price_cents or self.units,
            "past_plan": self.units if self.past_plan is None else self.past_plan,
            **self.extra,
        }
        for name, values in as_long.items():
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
            plan=Plan.of(history, row, history.T),
            past_plan=[Plan.of(history, row, t) for t in range(int(sold[0]), history.T)]
            if history.plan
            else None,
        )

    def on(
        self, months: NDArray[np.datetime64], shop_plan: Mapping[str, Floats] = MappingProxyType({})
    ) -> History:
        """A history of one row on these months, NaN before the product's own.

        Args:
            months: Of the model's data.
            shop_plan: (T + 1,) by name of `ml.history.PLANNED`: what its shop has a plan of; only the values of
                `shop_price` are those of every product.

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
            plan=self._planned(len(months), shop_plan),
        )

    def _planned(self, months: int, shop_plan: Mapping[str, Floats]) -> dict[str, Floats]:
        """(1, months + 1) arrays of what is planned for this product, or in its shop."""
        past, plan = self._past_plan(), self.plan
        arrays = {}
        for name, field in _OWN.items():
            values = [None if each is None else getattr(each, field) for each in (*past, plan)]
            if name in shop_plan or any(value is not None for value in values):
                own = [np.nan if value is None else value for value in values]
                arrays[name] = _row(own, months + 1, np.nan)
        if SHOP_PRICE in shop_plan:
            arrays[SHOP_PRICE] = shop_plan[SHOP_PRICE][np.newaxis]
        return arrays

    def _past_plan(self) -> Sequence[Plan | None]:
        if self.past_plan is not None or self.plan is None:
            return self.past_plan or [None] * len(self.units)
        none = {
            name: 0.0 for name in ("promotion", "advertising_cents") if getattr(self.plan, name) is not None
        }
        prices = self.price_cents or [None] * len(self.units)
        return [Plan(price_cents=price, **none) for price in prices]


def months_between(first: str, last: str) -> NDArray[np.datetime64]:
    """Every month from first to last ("YYYY-MM"), both included."""
    return np.arange(np.datetime64(first, "M"), np.datetime64(last, "M") + np.timedelta64(1, "M"))


def _row(values: Sequence[float], months: int, before: float) -> Floats:
    return np.array([[before] * (months - len(values)) + list(values)], dtype=np.float64)
