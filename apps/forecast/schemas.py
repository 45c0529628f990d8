"""What the forecast service answers and takes; decision and console read its answers by these."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

MAX_PAGE = 1000
MAX_MASS_POINTS = 4096

Month = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", examples=["2026-10"])]
Units = Annotated[FiniteFloat, Field(ge=0, le=1e12)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]


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

    @field_validator("quantiles")
    @classmethod
    def _in_order(cls, quantiles: dict[str, float]) -> dict[str, float]:
        units = [quantiles[share] for share in sorted(quantiles)]
        if units != sorted(units):
            raise ValueError("a higher share of outcomes must not have fewer units")
        return quantiles


class ForecastPage(Answer):
    """Forecasts in the order of their product ids; `next_cursor` is null on the last page."""

    total: int
    next_cursor: str | None
    forecasts: list[Forecast]


class Forecasts(Answer):
    """Live forecasts in the order of the histories that were sent."""

    forecasts: list[Forecast]


class CategoryForecast(Answer):
    """Expected units of a category: the sum of its products' means, since quantiles do not add."""

    category: str
    mean: Units
    products: int


class CategoryForecasts(Answer):
    """Every category, by name."""

    month: Month
    data_version: str
    categories: list[CategoryForecast]


class ModelInfo(Answer):
    """What this process serves, against what its release asks for."""

    image_tag: str
    model_version: int
    model_sha256: str
    data_version: str
    month: Month
    candidate: str
    products: int
    snapshot_created_at: datetime
    loaded_at: datetime


class Reloaded(Answer):
    """The model and snapshot served from now on; `changed` is false when there was nothing newer."""

    changed: bool
    serving: ModelInfo
