"""What the decision service takes and answers; the console reads its answers by these."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from apps.forecast.schemas import Forecast, Stale, Units
from ml.events import TEXT_LENGTH, ProductId

LONGEST_AD_HISTORY = 120
MOST_PRODUCTS = 10_000
LARGEST_BUDGET_CENTS = 10**12


class Numbers(BaseModel):
    """A planner's own numbers, fields of `ml.decisions.Economics`; the shop's defaults fill the gaps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    price_cents: int | None = Field(default=None, description="What a customer pays for a unit.")
    cost_cents: int | None = Field(default=None, description="What the shop pays for a unit.")
    salvage_cents: int | None = Field(default=None, description="What a unit left over brings at the end.")
    holding_cents: int | None = Field(default=None, description="What keeping a unit left over costs.")
    goodwill_cents: int | None = Field(default=None, description="Cost of a customer who finds nothing.")
    on_hand_units: int | None = Field(default=None, description="In stock now.")
    on_order_units: int | None = Field(default=None, description="Ordered and not yet here.")
    pack_units: int | None = Field(default=None, description="Orders are whole multiples of it.")
    minimum_order_units: int | None = Field(default=None, description="Fewest units the supplier takes.")
    lead_time_months: int | None = Field(default=None, description="From an order to its arrival.")
    review_months: int | None = Field(default=None, description="Until the next chance to order.")
    month_correlation: FiniteFloat | None = Field(
        default=None, description="Of a forecast's errors in the months that an order covers."
    )
    cvar_share: FiniteFloat | None = Field(
        default=None, description="Share of worst outcomes whose mean profit counts; 1 is the plain mean."
    )
    ad_spend_cents: int | None = Field(default=None, description="Advertising of a month, now.")
    ad_elasticity: FiniteFloat | None = Field(default=None, description="Percent demand per percent spend.")
    ad_elasticity_error: FiniteFloat | None = Field(default=None, description="Its standard deviation.")


class AdMonths(BaseModel):
    """A product's advertising in consecutive months and what it sold, oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spend_cents: list[Annotated[int, Field(ge=0, le=LARGEST_BUDGET_CENTS)]] = Field(
        max_length=LONGEST_AD_HISTORY
    )
    units: list[Units] = Field(max_length=LONGEST_AD_HISTORY)


class DecisionRequest(BaseModel):
    """A product of the shop by its id, or a forecast as the forecast service gave it for a sent history."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product_id: ProductId | None = None
    forecast: Forecast | None = None
    economics: Numbers = Numbers()
    ad_history: AdMonths | None = Field(
        default=None, description="To fit the response to advertising; without it the elasticity stands."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.product_id is None) == (self.forecast is None):
            raise ValueError("give either product_id or forecast")
        return self


class PortfolioRequest(BaseModel):
    """One budget for the orders of all products of the shop, or of one category."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    budget_cents: int = Field(ge=0, le=LARGEST_BUDGET_CENTS)
    category: str | None = Field(default=None, max_length=TEXT_LENGTH)
    economics: Numbers = Field(default=Numbers(), description="Of every product.")
    products: dict[str, Numbers] = Field(
        default={}, max_length=MOST_PRODUCTS, description="What differs, by product id."
    )
    ad_budget_cents: int | None = Field(
        default=None, ge=0, le=LARGEST_BUDGET_CENTS, description="Of a month, for all products together."
    )
    next_steps: int = Field(
        default=100, ge=0, le=1000, description="How many steps beyond the budget to list."
    )


class Answer(BaseModel):
    """Base of every answer; readers pass over fields they do not know."""

    model_config = ConfigDict(protected_namespaces=())


class Basis(Answer):
    """How current the forecast behind an answer is; both are left out of an answer from a current one."""

    forecast_age_seconds: float | None = Field(
        default=None,
        description="How long ago the forecast service gave the forecast; told while it does not answer.",
    )
    forecast_stale: Stale = False


class Stock(Answer):
    """Recommended stock for the months an order covers; `available_units` counts what is there already."""

    stock_units: int
    order_units: int
    available_units: int
    expected_profit_cents: int
    expected_mismatch_cost_cents: int
    sellout_probability: float
    critical_ratio: float = Field(description="Share of demand outcomes that the stock should cover.")
    cover_months: int


class Advertising(Answer):
    """Recommended advertising of a month, with the range that the elasticity's error leaves."""

    spend_cents: int
    now_cents: int
    change_share: float
    low_cents: int
    high_cents: int
    expected_profit_change_cents: int
    binding: str
    step_share: float
    elasticity_source: Literal["prior", "given", "fitted"]


class Risk(Answer):
    """Cost of the worst tenth of outcomes over the expected margin, in the model's frozen classes."""

    level: Literal["Low", "Medium", "High"]
    cost_at_risk: float
    cuts: tuple[float, float]


class Sizing(Answer):
    """How much of the recommended change to take, by what it earns against how uncertain that is."""

    take_share: float
    order_units: int
    spend_cents: int


class Outcome(Answer):
    """One scenario of the month."""

    profit_cents: int


class Input(Answer):
    """A number that was used, and whether it stood in for one that was not given."""

    value: float
    default: bool


class UsedDependence(Answer):
    """Between the months that an order covers, and where that came from."""

    months: float
    source: Literal["given", "model", "assumed"]


class Decision(Basis):
    """What to do for one product, why, and from which numbers."""

    product_id: str
    category: str
    month: str
    stock: Stock
    advertising: Advertising
    risk: Risk
    sizing: Sizing
    scenarios: dict[Literal["low", "expected", "high"], Outcome]
    binding: list[str]
    reason: str
    reason_tr: str
    inputs: dict[str, Input]
    dependence: UsedDependence | None = Field(default=None, description="Null from a release without it.")
    model_version: int
    model_sha256: str
    data_version: str
    calibration_id: str


class Order(Answer):
    """What to order of one product under the budget."""

    product_id: str
    order_units: int
    cost_cents: int
    expected_gain_cents: int = Field(description="Expected profit against ordering none.")


class NextUnits(Answer):
    """A step that the budget did not reach, and what it would add."""

    product_id: str
    units: int
    cost_cents: int
    expected_gain_cents: int
    gain_per_cent: float


class AdSpend(Answer):
    """Advertising of a month for one product under the common budget, and the bound that held it."""

    product_id: str
    spend_cents: int
    now_cents: int
    binding: str


class AdPortfolio(Answer):
    """Advertising under one budget, for products with a present spend."""

    spend_cents: int
    gain_per_next_cent: float = Field(description="Beyond the cent itself; 0 where the budget is enough.")
    products: list[AdSpend]


class LeftOut(Answer):
    """A product without a decision."""

    product_id: str
    reason: str


class JointDependence(Answer):
    """Under which the scenarios were drawn, and where it came from; `months` holds where a product gave none."""

    shop: float
    category: float
    months: float
    source: Literal["model", "assumed"]


class Portfolio(Basis):
    """Orders under one budget; `scenarios` are of the profit of all products together, drawn jointly."""

    budget_cents: int
    spend_cents: int
    expected_profit_cents: int
    gain_per_next_cent: float = Field(description="The budget's Lagrange multiplier, 0 where it is enough.")
    binding: list[str]
    products: int
    orders: list[Order] = Field(description="By product id; a product that is not in it needs no order.")
    next_units: list[NextUnits] = Field(description="Most gain per cent first.")
    advertising: AdPortfolio | None = Field(description="Null where no advertising budget was given.")
    left_out: list[LeftOut]
    scenarios: dict[Literal["low", "expected", "high"], Outcome]
    dependence: JointDependence | None = Field(default=None, description="Null from a release without it.")
    model_version: int | None
    model_sha256: str | None
    data_version: str | None
    calibration_id: str | None
