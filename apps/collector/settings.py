"""Settings of the collector; variables start with `COLLECTOR_`."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from apps.chassis.settings import ApiKey, Port, ServiceSettings
from ml.inbox_location import InboxLocation


class CollectorSettings(ServiceSettings):
    """Where events go and which are believed."""

    model_config = SettingsConfigDict(env_prefix="COLLECTOR_")

    port: Port = 8000
    api_key: ApiKey
    inbox: InboxLocation = Field(
        description="accepted events: a SQLite file or postgresql://USER@HOST[:PORT]/DATABASE, without password"
    )
    inbox_password: SecretStr | None = Field(default=None, description="Password of a PostgreSQL inbox.")
    inbox_password_file: Path | None = Field(
        default=None, description="File that holds it; read at every connection, so it can change."
    )
    max_waiting_events: int = Field(
        default=10_000,
        ge=1,
        description="Events of all requests that wait for the inbox; more get 503 at once.",
    )
    max_waiting_bytes: int = Field(default=8 * 1024 * 1024, ge=1024, description="Their JSON in bytes.")
    write_timeout_seconds: float = Field(
        default=10.0, gt=0, description="A request that waited this long for the inbox gets 503."
    )
    create_inbox: bool = Field(
        default=True,
        description="Make the file when it is missing; if not, `python -m ml migrate` has to come first.",
    )
    future_tolerance_seconds: int = Field(
        default=3600, ge=0, description="How far a sender's clock may run ahead."
    )
