"""Settings of the collector; variables start with `COLLECTOR_`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from apps.chassis.settings import ApiKey, Port, ServiceSettings


class CollectorSettings(ServiceSettings):
    """Where events go and which are believed."""

    model_config = SettingsConfigDict(env_prefix="COLLECTOR_")

    port: Port = 8000
    api_key: ApiKey
    inbox: Path = Field(description="SQLite file of accepted events.")
    create_inbox: bool = Field(
        default=True,
        description="Make the file when it is missing; if not, `python -m ml migrate` has to come first.",
    )
    future_tolerance_seconds: int = Field(
        default=3600, ge=0, description="How far a sender's clock may run ahead."
    )
