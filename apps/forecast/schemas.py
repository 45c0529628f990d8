"""What the forecast service answers and takes; decision and console read its answers by these."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

MAX_PAGE = 1000
MAX_MASS_POINTS = 4096


def _not(value: object) -> bool:
    return not value


Month = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", examples=["2026-10"])]
Units = Annotated[FiniteFloat, Field(ge=0, le=1e12)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Stale = Annotated[
    bool,
    Field(
        exclude_if=_not,
        description="True once the snapshot behind it is older than the service's setting; left out before.",
    ),
]


class Answer(BaseModel):
    """Base of every answer; readers pass over fields they do not know."""

    model_config = ConfigDict(protected_namespaces=())


class DemandDelta(Answer):
    """Mean forecast less last month's units; `share` is of last month's units, of at least one."""

    units: FiniteFloat
    share: FiniteFloat


class HistoricalError(Answer):
    """Mean scaled pinball loss in the backtest, and how many of the product's own months it rests on."""

    scaled_pinball: Units
    observations: int


class PlanOfMonth(Answer):
    """What was planned for the month that is forecast; null is not planned."""

    price_cents: FiniteFloat | None
    promotion: Share | None
    advertising_cents: FiniteFloat | None
    used: bool = Field(description="False: this model learned nothing of plans, so the plan changed nothing.")
    lift: FiniteFloat | None = Field(
        description="Units with this plan over units with the product's usual one, by the model's response."
    )


class Returns(Answer):
    """Units of next month's sales that come back; `p10` to `p90` hold them in four of five months."""

    rate: Share
    mean: Units
    p10: Units
    p90: Units
    own_units: Units = Field(description="The product's own sales that the rate rests on.")


class Dependence(Answer):
    """How the model's errors go together: correlations between products, and between months of one product."""

    shop: Share
    category: Share = Field(description="What two products of one category have beyond `shop`.")
    months: Share

    @model_validator(mode="after")
    def _within_one(self) -> Self:
        if self.shop + self.category > 1:
            raise ValueError("shop and category are parts of one, so their sum must not exceed 1")
        return self


class Forecast(Answer):
    """Next month's demand of one product; demand in units, money in cents."""

    product_id: str
    category: str
    month: Month
    mean: Units
    p10: Units
    p50: Units
    p90: Units
    quantiles: dict[str, Units] = Field(description="Units at the shares 0.05 to 0.99 of outcomes.")
    probability_mass: list[Share] | None = Field(
        max_length=MAX_MASS_POINTS,
        description="P(0), P(1), ... units; null where more than 100 are possible.",
    )
    demand_delta: DemandDelta
    probability_of_increase: Share
    volatility: Share
    confidence: Share = Field(description="P(demand within 25 % of the mean, or within one unit).")
    historical_error: HistoricalError | None
    demand_class: str
    history_months: int
    last_month_units: Units
    model_version: int
    model_sha256: str
    data_version: str
    calibration_id: str
    risk_cuts: tuple[FiniteFloat, FiniteFloat] = Field(
        description="Cost at risk that parts Low, Medium, High."
    )
    dependence: Dependence | None = Field(
        default=None, description="Measured in training; null in forecasts of releases that did not."
    )
    price_cents: int | None = Field(description="Mean price of the last month with a sale.")
    plan: PlanOfMonth | None = Field(
        default=None, description="The plan that the forecast was made with: of the lake, or sent."
    )
    probability_of_sale: Share | None = Field(
        default=None,
        description="Of products without a sale in twelve months, by all such products; else null.",
    )
    returns: Returns | None = Field(default=None, description="Null where returns are not known.")
    stale: Stale = False

    @field_validator("quantiles")
    @classmethod
    def _in_order(cls, quantiles: dict[str, float]) -> dict[str, float]:
        units = [quantiles[share] for share in sorted(quantiles)]
        if units != sorted(units):
            raise ValueError("a higher share of outcomes must not have fewer units")
        return quantiles


class GroupForecast(Answer):
    """Units of several products together: the mean is the sum of theirs, quantiles are drawn jointly."""

    mean: Units
    products: int
    quantiles: dict[str, Units] | None = Field(
        default=None,
        description="Units at the shares 0.05 to 0.99 of outcomes; null from a snapshot without them.",
    )


class ForecastPage(Answer):
    """Forecasts in the order of their product ids; `next_cursor` is null on the last page.

    `together` is of the whole category, or of the shop where none was asked for; null for a search.
    """

    total: int
    next_cursor: str | None
    together: GroupForecast | None = None
    forecasts: list[Forecast]


class Forecasts(Answer):
    """Live forecasts in the order of the histories that were sent."""

    forecasts: list[Forecast]


class CategoryForecast(GroupForecast):
    """Units of a category."""

    category: str
    stale: Stale = False


class CategoryForecasts(Answer):
    """Every category, by name, and the shop."""

    month: Month
    data_version: str
    stale: Stale = False
    total: GroupForecast | None = None
    categories: list[CategoryForecast]


class OpenMonthLine(Answer):
    """Units sold so far and expected of the whole month; `p10` and `p90` are null with too few past months."""

    so_far: Units
    expected: Units
    p10: Units | None
    p90: Units | None


class OpenMonth(Answer):
    """The month that is still open, estimated from the `days` of it that were over; never part of a forecast."""

    month: Month | None = None
    days: int = 0
    unknown: str | None = Field(default=None, description="Why nothing can be said.")
    elapsed_share: Share | None = None
    months_learned_from: int = 0
    shop: OpenMonthLine | None = None
    categories: dict[str, OpenMonthLine] = Field(default_factory=dict)


class QualityCheck(Answer):
    """One check of the quality gate; `value` of `threshold` or more fails."""

    name: str
    verdict: str = Field(description="pass, warn, fail or not enough data.")
    value: FiniteFloat | None = None
    threshold: FiniteFloat | None = None
    reason: str = ""
    count: int = Field(default=0, description="Rows that were found, of which `rows` are the first.")
    rows: list[dict[str, str | int | FiniteFloat]] = Field(default_factory=list)


class QualityVerdict(Answer):
    """What the quality gate said of one state of the data."""

    verdict: str
    data_version: str | None = None
    created_at: datetime


class QualityReport(QualityVerdict):
    """The newest report of the quality gate, and the verdicts before it, newest first."""

    as_of: datetime
    newest_event: datetime | None = None
    checks: list[QualityCheck]
    history: list[QualityVerdict] = Field(default_factory=list)


class ModelInfo(Answer):
    """What this process serves, against what its release asks for."""

    image_tag: str
    model_version: int
    model_sha256: str
    data_version: str
    month: Month
    candidate: str
    products: int
    stock_data: str | None = Field(default=None, description="What demand in months without stock rests on.")
    snapshot_created_at: datetime
    stale: bool = Field(default=False, description="The snapshot is older than the service's setting.")
    loaded_at: datetime


class Reloaded(Answer):
    """The model and snapshot served from now on; `changed` is false when there was nothing newer."""

    changed: bool
    serving: ModelInfo
