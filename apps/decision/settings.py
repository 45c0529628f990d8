"""Settings of the decision service; variables start with `DECISION_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from apps.chassis.settings import Port, ServiceSettings
from ml.decisions import Defaults


class DecisionSettings(ServiceSettings):
    """Where forecasts come from, and the shop's usual numbers.

    One default changes by its own variable, for example `DECISION_DEFAULTS__COST_SHARE_OF_PRICE=0.55`.
    """

    model_config = SettingsConfigDict(env_prefix="DECISION_", env_nested_delimiter="__")

    port: Port = 8002
    forecast_url: str = Field(
        default="http://127.0.0.1:8001", pattern="^https?://", description="forecast service"
    )
    forecast_timeout_seconds: float = Field(default=2.0, gt=0, description="longest wait for one forecast")
    forecast_connections: int = Field(
        default=20, ge=1, description="most open connections to the forecast service"
    )
    defaults: Defaults = Defaults()
