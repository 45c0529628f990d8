"""Settings of the forecast service; variables start with `FORECAST_`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from apps.chassis.settings import AccessSettings, ApiKey, Port
from ml.location import Location

_RELEASE = "written by environments/<environment>/release.yaml"


class ForecastSettings(AccessSettings):
    """Which model is served and where it is found. What the release says has no default."""

    model_config = SettingsConfigDict(env_prefix="FORECAST_", protected_namespaces=())

    port: Port = 8001
    model_version: int = Field(ge=1, description=_RELEASE)
    model_sha256: str = Field(pattern="^[0-9a-f]{64}$", description=_RELEASE)
    image_tag: str = Field(min_length=1, description=_RELEASE)
    model_store: Location = Field(description="folder or s3://BUCKET/PREFIX of bundles and snapshots")
    signers_file: Path | None = Field(
        default=None,
        description="public keys in PEM: only what one of them signed is served; all that is in the store is without",
    )
    api_key: ApiKey
    retry_seconds: float = Field(
        default=5.0, gt=0, description="how often a process that could not load its model tries again"
    )
    refresh_seconds: float = Field(
        default=60.0, gt=0, description="how often the store is asked for a newer snapshot of the model"
    )
    stale_after_seconds: float = Field(
        default=35 * 86_400,  # a month and the three days until it is closed
        gt=0,
        description="age of a snapshot from which on answers say `stale`",
    )
    served_store: Location | None = Field(
        default=None,
        description="folder or s3://BUCKET/PREFIX for counts of what was served; none are kept without",
    )
    served_seconds: float = Field(default=300.0, gt=0, description="how often these counts are written")
    live_sample_share: float = Field(
        default=0.01, gt=0, le=1, description="share of live forecasts of which the numbers are kept"
    )
    shadow_url: str | None = Field(
        default=None,
        pattern=r"^http://[^/?#@]+$",
        description="a candidate that is asked what this one is asked; none is without",
    )
    shadow_share: float = Field(
        default=0.1, gt=0, le=1, description="share of forecast requests that the candidate is asked too"
    )
    shadow_store: Location | None = Field(
        default=None, description="folder or s3://BUCKET/PREFIX for its differences; none are kept without"
    )
