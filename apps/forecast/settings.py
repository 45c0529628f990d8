"""Settings of the forecast service; variables start with `FORECAST_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from apps.chassis.settings import ApiKey, Port, ServiceSettings
from ml.location import Location

_RELEASE = "written by environments/<environment>/release.yaml"


class ForecastSettings(ServiceSettings):
    """Which model is served and where it is found. What the release says has no default."""

    model_config = SettingsConfigDict(env_prefix="FORECAST_", protected_namespaces=())

    port: Port = 8001
    model_version: int = Field(ge=1, description=_RELEASE)
    model_sha256: str = Field(pattern="^[0-9a-f]{64}$", description=_RELEASE)
    image_tag: str = Field(min_length=1, description=_RELEASE)
    model_store: Location = Field(description="folder or s3://BUCKET/PREFIX of bundles and snapshots")
    api_key: ApiKey
    retry_seconds: float = Field(
        default=5.0, gt=0, description="how often a process that could not load its model tries again"
    )
