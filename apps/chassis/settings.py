"""The settings every service has, and how a missing one is said."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_args

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from apps.chassis.problems import field_path, shown

Port = Annotated[int, Field(ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")]
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


class BadSettings(Exception):
    """The environment does not hold what a service needs; the text is one sentence."""


Settings = TypeVar("Settings", bound=ServiceSettings)


def read_settings(kind: type[Settings]) -> Settings:
    """The settings of a service from the environment.

    Raises:
        BadSettings: It names every variable that is missing or wrong, and never shows a secret.
    """
    try:
        return kind()  # type: ignore[call-arg]  # the environment holds what has no default
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
