"""The settings every service has, and how a missing one is said."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from apps.chassis.problems import field_path, shown

Port = Annotated[int, Field(ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")]
LOCAL = "local"
ApiKey = Annotated[SecretStr, Field(min_length=16, description="callers send it as X-API-Key")]


class ServiceSettings(BaseSettings):
    """Where a service listens, how it logs and how it ends.

    A service's own class adds the prefix of its variables, its port and its fields. The three descriptors
    have none: a supervisor passes `LISTEN_FD`, `READY_FD` and `PARENT_PIPE_FD` to any service alike.
    """

    model_config = SettingsConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: Port
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    max_body_bytes: int = Field(
        default=4 * 1024 * 1024, ge=1024, description="Larger request bodies get 413."
    )
    drain_seconds: float = Field(
        default=0.3, ge=0, description="How long a stopping process still answers on open connections."
    )
    stop_timeout_seconds: int = Field(
        default=10, ge=1, description="Requests still running this long after the drain are cut off."
    )
    listen_fd: int | None = Field(
        default=None,
        ge=3,
        validation_alias="LISTEN_FD",
        description="An inherited listening socket, so that a port passes from process to process.",
    )
    ready_fd: int | None = Field(
        default=None,
        ge=3,
        validation_alias="READY_FD",
        description="Write end of a pipe for one line, the readiness of the started process.",
    )
    parent_pipe_fd: int | None = Field(
        default=None,
        ge=3,
        validation_alias="PARENT_PIPE_FD",
        description="Read end of a pipe whose other end the parent holds; its end ends this process.",
    )


class CallerSettings(ServiceSettings):
    """Whose API keys a service takes, and how often the holder of one may ask."""

    environment: str = Field(default=LOCAL, description="Keys for another environment are refused.")
    keys_file: Path | None = Field(
        default=None,
        description="API keys by source, a line each; `python -m apps.collector key --help` makes one.",
    )
    rate_per_second: float = Field(
        default=100.0, gt=0, description="requests a second of a caller, in the long run"
    )
    rate_burst_seconds: float = Field(
        default=2.0, gt=0, description="as many as in this time may come at once"
    )
    rate_store: SecretStr | None = Field(
        default=None,
        description="redis://USER:PASSWORD@HOST:PORT or rediss://, where replicas share limits; else each has its own",
    )
    rate_store_timeout_seconds: float = Field(
        default=0.1, gt=0, description="longest wait for it; then this process limits for itself for a while"
    )

    @field_validator("keys_file", "rate_store", mode="before")
    @classmethod
    def _none_if_empty(cls, value: object) -> object:
        return value or None

    @field_validator("rate_store")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://")):
            raise PydanticCustomError("url", "neither redis:// nor rediss://")
        return value


class AccessSettings(CallerSettings):
    """Who may ask a service that people and other services read from, and how often.

    With neither keys nor an identity provider everybody may read; only a laptop may be so.
    """

    oidc_issuer: str | None = Field(
        default=None,
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])",
        description="identity provider whose tokens are taken; must be their `iss` to the letter",
    )
    oidc_audience: str | None = Field(
        default=None,
        validate_default=True,
        description="what tokens must be for: this service in this environment",
    )
    oidc_roles_claim: str = Field(
        default="roles",
        min_length=1,
        description="claim with `viewer` or `controller`, such as `realm_access.roles`",
    )
    oidc_stale_seconds: float = Field(
        default=86_400.0, gt=0, description="how long its keys are used after it last gave them"
    )

    @field_validator("oidc_issuer", "oidc_audience", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("oidc_audience")
    @classmethod
    def _audience_of_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Without one a token that the provider made for any other service would do here."""
        if (value is None) != (info.data.get("oidc_issuer") is None):
            raise PydanticCustomError("access", "an issuer and an audience come together")
        if info.data.get("environment") != LOCAL and not (value or info.data.get("keys_file")):
            raise PydanticCustomError(
                "access", "outside of a laptop set a keys_file, or an oidc_issuer with its audience"
            )
        return value


class BadSettings(Exception):
    """The environment does not hold what a service needs; the text is one sentence."""


Settings = TypeVar("Settings", bound=ServiceSettings)


def read_settings(kind: type[Settings]) -> Settings:
    """The settings of a service from the environment, and where `SECRETS_DIR` names a folder from its files too.

    A file is called like the variable in small letters, `forecast_api_key`; a variable goes before it.

    Raises:
        BadSettings: It names every variable that is missing or wrong, and never shows a secret.
    """
    try:
        return kind(_secrets_dir=os.environ.get("SECRETS_DIR"))  # type: ignore[call-arg]  # has what has no default
    except ValidationError as error:
        entries = error.errors(include_url=False)
        raise BadSettings("; ".join(_sentence(kind, entry) for entry in entries)) from None


def _sentence(kind: type[ServiceSettings], entry: Mapping[str, Any]) -> str:
    name = field_path(entry["loc"])
    field = kind.model_fields.get(name)
    variable = name if field is None else f"{kind.model_config.get('env_prefix', '')}{name}".upper()
    meaning = f" ({field.description})" if field is not None and field.description else ""
    if entry["type"] == "missing":
        return f"{variable} is not set{meaning}"
    got = "" if field is not None and _is_secret(field.annotation) else f", got {shown(entry['input'])}"
    return f"{variable} is wrong{meaning}: {entry['msg']}{got}"


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))
