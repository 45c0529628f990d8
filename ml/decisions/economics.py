"""What a unit earns, costs and leaves behind, and which of these numbers the planner gave."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

from ml.dependence import ASSUMED, Dependence
from ml.errors import ImpossibleEconomics

LARGEST_INPUT = 10**12
LONGEST_COVER_MONTHS = 12

_SHARES = {"ad_elasticity", "ad_elasticity_error", "cvar_share", "month_correlation"}


@dataclass(frozen=True)
class Defaults:
    """What stands in for a number that the planner did not give; every use is marked in the answer.

    The advertising elasticity is a prior, not a measurement: short-run elasticities of 0.1 are
    typical of consumer goods (Sethuraman, Tellis and Briesch 2011, a meta-analysis, mean 0.12). The month
    correlation stands in where the model did not measure its own; on public sets it was 0.07 to 0.54.
    """

    cost_share_of_price: float = 0.6
    salvage_share_of_cost: float = 0.5
    holding_share_of_cost: float = 0.02
    goodwill_cents: int = 0
    on_hand_units: int = 0
    on_order_units: int = 0
    pack_units: int = 1
    minimum_order_units: int = 0
    lead_time_months: int = 0
    review_months: int = 1
    month_correlation: float = ASSUMED.months
    cvar_share: float = 1.0
    ad_spend_cents: int = 0
    ad_elasticity: float = 0.1
    ad_elasticity_error: float = 0.1


def with_months(defaults: Defaults | None, learned: Dependence | None) -> Defaults:
    """The defaults with the model's own month correlation, which is better than an assumed one."""
    shop = defaults or Defaults()
    return shop if learned is None else replace(shop, month_correlation=learned.months)


@dataclass(frozen=True)
class Economics:
    """Money per unit in cents, stock in units, and advertising per month in cents.

    Args:
        price_cents: What a customer pays for a unit.
        cost_cents: What the shop pays for a unit.
        salvage_cents: What a unit left over brings at the end.
        holding_cents: What keeping a unit left over costs.
        goodwill_cents: What a customer who finds nothing costs beyond the lost margin.
        on_hand_units: In stock now.
        on_order_units: Ordered and not yet here.
        pack_units: Orders are whole multiples of it.
        minimum_order_units: The supplier takes no order of fewer units, except none.
        lead_time_months: From an order to its arrival.
        review_months: Until the next chance to order; the order covers lead time plus review.
        month_correlation: Of the errors of one forecast for the months that an order covers, 0 to below 1.
        cvar_share: The mean of this share of worst outcomes is what counts; 1 is the plain mean.
        ad_spend_cents: Advertising of this product in a month, now.
        ad_elasticity: Percent more demand for one percent more advertising, 0 to below 1.
        ad_elasticity_error: Standard deviation of that elasticity.
        defaulted: Names of the fields that the planner did not give.

    Raises:
        ImpossibleEconomics: No stock decision makes sense under these numbers.
    """

    price_cents: int
    cost_cents: int
    salvage_cents: int
    holding_cents: int
    goodwill_cents: int
    on_hand_units: int
    on_order_units: int
    pack_units: int
    minimum_order_units: int
    lead_time_months: int
    review_months: int
    month_correlation: float
    cvar_share: float
    ad_spend_cents: int
    ad_elasticity: float
    ad_elasticity_error: float
    defaulted: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name, value in self.inputs().items():
            if not 0 <= value <= LARGEST_INPUT:
                raise ImpossibleEconomics(f"{name} is {value}; give 0 to {LARGEST_INPUT}")
        _check_unit(self)
        _check_order(self)
        if not 1 <= self.cover_months <= LONGEST_COVER_MONTHS:
            raise ImpossibleEconomics(
                f"lead time plus review is {self.cover_months} months; give 1 to {LONGEST_COVER_MONTHS}"
            )
        if self.ad_elasticity >= 1:
            raise ImpossibleEconomics(
                f"ad_elasticity is {self.ad_elasticity}; at 1 or more spending pays without limit"
            )

    @classmethod
    def of(
        cls,
        given: Mapping[str, float | None],
        usual_price_cents: int | None,
        defaults: Defaults | None = None,
    ) -> Self:
        """The planner's numbers; what is missing comes from the product's usual price and the defaults.

        Args:
            given: Any fields of this class by name; None is the same as missing.
            usual_price_cents: What the product sold for lately, None where unknown.
            defaults: The shop's own defaults.

        Raises:
            ImpossibleEconomics: A name is unknown, no price is known, or the numbers make no sense.
        """
        known = {name: _number(name, value) for name, value in given.items() if value is not None}
        if unknown := sorted(set(known) - _NAMES):
            raise ImpossibleEconomics(
                f"{unknown[0]!r} is not an input of a decision; known are {', '.join(_INPUTS)}"
            )
        numbers: dict[str, Any] = _defaults(known, usual_price_cents, defaults or Defaults()) | known
        return cls(**numbers, defaulted=_NAMES - known.keys())

    @property
    def position_units(self) -> int:
        """What is there or on the way."""
        return self.on_hand_units + self.on_order_units

    @property
    def margin_cents(self) -> int:
        """What a sold unit earns."""
        return self.price_cents - self.cost_cents

    @property
    def underage_cents(self) -> int:
        """What one unit too few costs: the lost margin and the goodwill."""
        return self.margin_cents + self.goodwill_cents

    @property
    def overage_cents(self) -> int:
        """What one unit too many costs: its price to the shop and its keeping, less what it still brings."""
        return self.cost_cents - self.salvage_cents + self.holding_cents

    @property
    def critical_ratio(self) -> float:
        """Share of demand outcomes that the stock should cover (Arrow, Harris and Marschak 1951)."""
        return self.underage_cents / (self.underage_cents + self.overage_cents)

    @property
    def cover_months(self) -> int:
        """Months of demand that one order must cover: lead time plus review."""
        return self.lead_time_months + self.review_months

    def inputs(self) -> dict[str, float]:
        """Every number by name."""
        return {name: getattr(self, name) for name in _INPUTS}


_INPUTS: Final = tuple(field.name for field in fields(Economics) if field.name != "defaulted")
_NAMES: Final = frozenset(_INPUTS)
"""What `Economics.of` takes; looked up once, since a portfolio asks ten thousand times."""


def _defaults(
    known: Mapping[str, float], usual_price_cents: int | None, defaults: Defaults
) -> dict[str, float]:
    price = known.get("price_cents", usual_price_cents)
    if price is None:
        raise ImpossibleEconomics(
            "price_cents is missing, and no past price is known; give the price of a unit"
        )
    cost = known.get("cost_cents", int(price * defaults.cost_share_of_price))
    filled = {name: value for name, value in vars(defaults).items() if "_share_of_" not in name}
    return filled | {
        "price_cents": price,
        "cost_cents": cost,
        "salvage_cents": int(cost * defaults.salvage_share_of_cost),
        # At least one cent: a unit left over that costs nothing would be ordered without limit.
        "holding_cents": max(1, round(cost * defaults.holding_share_of_cost)),
    }


_LONGEST_SHOWN = 10**30


def _number(name: str, value: float) -> float:
    if isinstance(value, int) and abs(value) > LARGEST_INPUT:  # beyond 1e308 it is no float either
        said = value if abs(value) < _LONGEST_SHOWN else f"a number of {value.bit_length()} bits"
        raise ImpossibleEconomics(f"{name} is {said}; give 0 to {LARGEST_INPUT}")
    if not math.isfinite(value):
        raise ImpossibleEconomics(f"{name} is {value}; give a number")
    if name in _SHARES:
        return float(value)
    if value != int(value):
        raise ImpossibleEconomics(f"{name} is {value}; give a whole number")
    return int(value)


def _check_unit(economics: Economics) -> None:
    price, cost, salvage = economics.price_cents, economics.cost_cents, economics.salvage_cents
    if price <= cost:
        raise ImpossibleEconomics(
            f"price_cents {price} is not above cost_cents {cost}; every sale would lose money"
        )
    if salvage > cost:
        raise ImpossibleEconomics(
            f"salvage_cents {salvage} is above cost_cents {cost}; buying to throw out would pay"
        )
    if economics.overage_cents == 0:
        raise ImpossibleEconomics(
            f"a unit left over costs nothing (cost_cents {cost}, salvage_cents {salvage}, holding_cents 0), "
            "so no stock is enough; give a lower salvage or a holding cost"
        )


def _check_order(economics: Economics) -> None:
    if economics.pack_units < 1:
        raise ImpossibleEconomics(f"pack_units is {economics.pack_units}; give 1 or more")
    if not 0 < economics.cvar_share <= 1:
        raise ImpossibleEconomics(f"cvar_share is {economics.cvar_share}; give more than 0, up to 1")
    if economics.month_correlation >= 1:
        raise ImpossibleEconomics(f"month_correlation is {economics.month_correlation}; give 0 to below 1")
