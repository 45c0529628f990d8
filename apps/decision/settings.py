"""Settings of the decision service; variables start with `DECISION_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from apps.chassis.settings import AccessSettings, ApiKey, Port
from ml.decisions import Defaults


class DecisionSettings(AccessSettings):
    """Where forecasts come from, and the shop's usual numbers.

    One default changes by its own variable, for example `DECISION_DEFAULTS__COST_SHARE_OF_PRICE=0.55`.
    """

    model_config = SettingsConfigDict(env_prefix="DECISION_", env_nested_delimiter="__")

    port: Port = 8002
    forecast_url: str = Field(
        default="http://127.0.0.1:8001", pattern="^https?://", description="forecast service"
    )
    forecast_key: ApiKey | None = Field(
        default=None, description="this service's own key at the forecast service, of the role viewer"
    )
    forecast_timeout_seconds: float = Field(default=2.0, gt=0, description="longest wait for one forecast")
    forecast_connections: int = Field(
        default=20, ge=1, description="most open connections to the forecast service"
    )
    forecast_kept_seconds: float = Field(
        default=900.0,
        ge=0,
        description="oldest forecast to decide from while the forecast service gives none",
    )
    forecast_kept_bytes: int = Field(
        default=32 * 1024 * 1024, ge=0, description="most memory for forecasts that are kept for that"
    )
    defaults: Defaults = Defaults()
