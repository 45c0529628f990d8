"""Settings of the on-call service; variables start with `ONCALL_`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from apps.chassis.settings import AccessSettings, ApiKey, Port
from ml.inbox_location import InboxLocation

_SMALL = Annotated[float, Field(gt=0)]


class OncallSettings(AccessSettings):
    """Where incidents are kept, who is told by what, and how long silence may last."""

    model_config = SettingsConfigDict(env_prefix="ONCALL_")

    port: Port = 8004
    max_body_bytes: int = Field(
        default=32 * 1024 * 1024, ge=1024, description="A group of thousands of alerts is one notification."
    )
    rota: Path = Field(description="YAML of people, rotas and policies; read again when it changes")
    database: InboxLocation = Field(
        description="incidents: a SQLite file or postgresql://USER@HOST[:PORT]/DATABASE, without password"
    )
    database_password: SecretStr | None = Field(default=None, description="Password of a PostgreSQL.")
    database_password_file: Path | None = Field(default=None, description="File that holds it.")
    database_timeout_seconds: _SMALL = Field(
        default=5.0, description="longest wait for the database; then the answer is 503"
    )
    alert_token: ApiKey = Field(description="Alertmanager sends it as Authorization: Bearer")
    api_key: ApiKey = Field(description="people and the console send it as X-API-Key; every role")
    smtp_host: str = Field(min_length=1, description="mail server")
    smtp_port: int = Field(default=587, ge=1, le=65_535)
    smtp_security: Literal["starttls", "tls", "plain"] = Field(
        default="starttls", description="starttls or tls; plain only on a network that is trusted"
    )
    smtp_ca_file: Path | None = Field(default=None, description="Certificates to trust; else the system's.")
    smtp_user: str | None = Field(default=None, description="Login; none without.")
    smtp_password: SecretStr | None = Field(default=None, description="its password")
    mail_from: str = Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$", description="sender of the mails")
    console_url: str | None = Field(
        default=None, pattern="^https?://", description="Address of the console, for links."
    )
    runbook_url: str | None = Field(
        default=None,
        pattern="^https?://",
        description="Page of the runbook, for alarms that the service makes.",
    )
    send_timeout_seconds: _SMALL = Field(
        default=10.0, description="longest wait for a mail server or a webhook"
    )
    retry_seconds: _SMALL = Field(
        default=5.0, description="until a failed notification is tried again; doubled each time, up to 5 min"
    )
    give_up_seconds: _SMALL = Field(
        default=86_400.0, description="age at which a notification is no longer tried"
    )
    heartbeat_seconds: _SMALL = Field(
        default=300.0, description="silence of Alertmanager's heartbeat that pages by itself"
    )
    reopen_seconds: float = Field(
        default=900.0, ge=0, description="an alarm that comes back this soon is the same incident"
    )
    lease_seconds: _SMALL = Field(
        default=10.0, description="silence of the leading process after which another takes over"
    )
    tick_seconds: _SMALL = Field(default=0.5, description="pause between looks at timers and outbox")

    @field_validator("smtp_ca_file", "smtp_user", "console_url", "runbook_url", mode="before")
    @classmethod
    def _unset(cls, value: object) -> object:
        return value or None
