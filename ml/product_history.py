"""One product's own months as a caller sends them, and as training sees them."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ml.events import ProductId, Text
from ml.history import EXTRA, Floats, History

MOST_MONTHS = 600
_FIRST_YEAR: Final = 1970

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
        years, month = int(self.first_month[:4]) - _FIRST_YEAR, int(self.first_month[5:])
        return np.datetime64(12 * years + month + len(self.units) - 2, "M")

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

    @property
    def columns(self) -> tuple[frozenset[str], frozenset[str]]:
        """Names of what is known of its months and of what is planned for them, in `ml.history`'s words."""
        plans = [plan for plan in self.plans() if plan is not None]
        planned = (
            name for name, field in _OWN.items() if any(getattr(each, field) is not None for each in plans)
        )
        return frozenset(self.extra), frozenset(planned)

    def require_within(self, months: NDArray[np.datetime64]) -> None:
        """Nothing for a product that can stand on these months.

        Raises:
            ValueError: Its own do not end with the last of `months`, or begin before the first.
        """
        if self.last_month != months[-1]:
            raise ValueError(f"the history ends in {self.last_month}, this model forecasts from {months[-1]}")
        if len(self.units) > len(months):
            raise ValueError(
                f"the history begins in {self.first_month}, this model knows months from {months[0]}"
            )

    def plans(self) -> list[Plan | None]:
        """Of each of its months and of the one to forecast; empty where none was sent."""
        if self.plan is None and self.past_plan is None:
            return []
        return [*self._past_plan(), self.plan]

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


def together(
    products: Sequence[ProductHistory],
    months: NDArray[np.datetime64],
    shop_plan: Mapping[str, Floats] = MappingProxyType({}),
) -> History:
    """A history with a row for each product on these months, NaN before its own.

    Args:
        products: One or more with the same `columns`: a missing column is unknown, not zero.
        months: Of the model's data.
        shop_plan: (T + 1,) by name of `ml.history.PLANNED`: what their shop has a plan of; only the values of
            `shop_price` are those of every product.

    Raises:
        ValueError: A product's months do not end with the last of `months`, or begin before the first.
    """
    for product in products:
        product.require_within(months)
    (known, planned), length = products[0].columns, len(months)
    plan = {
        name: _rows((_values(product, field) for product in products), length + 1, np.nan)
        for name, field in _OWN.items()
        if name in planned or name in shop_plan
    }
    if SHOP_PRICE in shop_plan:
        plan[SHOP_PRICE] = np.repeat(shop_plan[SHOP_PRICE][np.newaxis], len(products), axis=0)
    return History(
        product_ids=tuple(product.product_id for product in products),
        categories=tuple(product.category for product in products),
        months=months,
        units=_rows((product.units for product in products), length, np.nan),
        price_cents=_rows((product.price_cents or () for product in products), length, np.nan),
        extra={
            name: _rows((product.extra[name] for product in products), length, 0.0) for name in sorted(known)
        },
        plan=plan,
    )


def _values(product: ProductHistory, field: str) -> list[float | None]:
    return [None if plan is None else getattr(plan, field) for plan in product.plans()]


def _rows(values: Iterable[Sequence[float | None]], months: int, before: float) -> Floats:
    """(n, months) with each row's values at its end; None is NaN."""
    return np.array([[*[before] * (months - len(own)), *own] for own in values], dtype=np.float64)
