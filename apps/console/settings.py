"""Settings of the console; variables start with `CONSOLE_`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from apps.chassis.settings import Port, ServiceSettings

_URL = "^https?://"


class ConsoleSettings(ServiceSettings):
    """Which services, which repository and which environment are shown."""

    model_config = SettingsConfigDict(env_prefix="CONSOLE_")

    port: Port = 8003
    collector_url: str = Field(default="http://127.0.0.1:8000", pattern=_URL)
    forecast_url: str = Field(default="http://127.0.0.1:8001", pattern=_URL)
    decision_url: str = Field(default="http://127.0.0.1:8002", pattern=_URL)
    timeout_seconds: float = Field(default=1.0, gt=0, description="longest wait for a service or for git")
    repository: Path = Field(description="bare Git repository with the environments")
    trunk: str = Field(
        default="main", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", description="branch that is deployed"
    )
    environment: str = Field(
        default="local", pattern="^[a-z][a-z0-9-]*$", description="folder under environments/"
    )
