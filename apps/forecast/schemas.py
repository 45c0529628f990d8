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


class PastForecast(Answer):
    """What had been forecast for a month, by the newest model of then that is not newer than the served one."""

    month: Month
    model_version: int
    mean: Units
    p10: Units
    p90: Units


class Past(Answer):
    """A product's months from `first_month` on, 60 at most, and the forecasts of them, oldest first."""

    product_id: str
    data_version: str
    first_month: Month
    units: list[Units] = Field(description="Of each month; of one with days without stock its demand.")
    forecasts: list[PastForecast] = Field(default_factory=list)


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


class DriftSign(Answer):
    """One thing that was looked at: how far it is off, and how sure that is over everything looked at."""

    name: str
    effect: FiniteFloat
    floor: FiniteFloat = Field(description="A smaller effect is no drift.")
    p_value: FiniteFloat
    drifted: bool


class DriftColumn(Answer):
    """The clearest sign of drift in one column of the inputs; `effect` is in standard deviations, a log or a share."""

    column: str
    kind: str
    label: str = ""
    window: int = Field(description="Over how many of the last batches.")
    effect: FiniteFloat
    corrected: FiniteFloat = Field(description="p-value, corrected over all columns.")
    drifted: bool


class DriftChart(Answer):
    """A chart of errors; above its limit there is drift."""

    name: str
    effect: FiniteFloat
    total: FiniteFloat
    limit: FiniteFloat


class DriftInputs(Answer):
    """What was found in the inputs."""

    answer: str
    reason: str = ""
    findings: list[DriftColumn] = Field(default_factory=list)
    categories: list[str] = Field(default_factory=list, description="Those whose own inputs drifted.")


class DriftResiduals(Answer):
    """What was found in the errors."""

    answer: str
    reason: str = ""
    charts: list[DriftChart] = Field(default_factory=list)


class DriftParts(Answer):
    """The answers of the parts of a verdict; those of a later release are passed over."""

    forecasts: str
    inputs: DriftInputs
    residuals: DriftResiduals


class DriftFound(Answer):
    """What a verdict rests on."""

    reason: str
    features: list[str]
    findings: list[DriftSign] = Field(default_factory=list)
    parts: DriftParts


class DriftVerdict(Answer):
    """What was said of one period."""

    period: str
    answer: str = Field(description="no drift, drift or not enough data.")
    episode: str | None = Field(default=None, description="Period in which the episode of drift began.")
    retrain: bool = False
    model_version: int


class DriftReport(DriftVerdict):
    """The newest verdict on drift, and those before it, newest first."""

    created_at: datetime
    data_version: str | None = None
    false_alarms: Share | None = Field(
        default=None, description="Share of batches without drift in which the inputs alarmed, measured."
    )
    picture: str | None = Field(
        default=None,
        description="drawn: Evidently's picture of it is in the model store; else why it is not.",
    )
    report: DriftFound
    history: list[DriftVerdict] = Field(default_factory=list)


class MonthFigures(Answer):
    """Errors of one model in one month, shares 0 to 1; what an older writer did not know is absent."""

    month: str
    model_version: int
    horizon: int = 1
    wape: FiniteFloat | None
    naive_wape: FiniteFloat | None
    bias: FiniteFloat | None
    pinball: FiniteFloat | None
    coverage_80: FiniteFloat
    revenue_wape: FiniteFloat | None = None


class StockImpact(Answer):
    """What stocking by the forecasts was worth in months that are over, against as many units as the month before.

    `month` is `all` for all of them together; fewer than 0 is worse.
    """

    month: str
    units: FiniteFloat
    stock_outs_avoided_units: FiniteFloat
    avoided_cents: FiniteFloat


class EvaluationReport(Answer):
    """What `python -m ml evaluate` left; `impact` is null from releases that did not measure it."""

    created_at: datetime
    newest_event_at: datetime | None = None
    months: list[MonthFigures]
    impact: list[StockImpact] | None = None


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
