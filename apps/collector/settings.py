"""Settings of the collector; variables start with `COLLECTOR_`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from apps.chassis.settings import LOCAL, ApiKey, CallerSettings, Port
from ml.inbox_location import InboxLocation
from ml.pseudonym import KEY_FILE, read_key


class CollectorSettings(CallerSettings):
    """Where events go, whose are taken, how often, and which are believed."""

    model_config = SettingsConfigDict(env_prefix="COLLECTOR_")

    port: Port = 8000
    api_key: ApiKey | None = Field(
        default=None, validate_default=True, description="callers send it as X-API-Key"
    )
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
        default=10.0, gt=0, description="Until a request that has come is answered, by 503 if need be."
    )
    create_inbox: bool = Field(
        default=True,
        description="Make the file when it is missing; if not, `python -m ml migrate` has to come first.",
    )
    pseudonym_key_file: Path | None = Field(
        default=None, description="File with the key for pseudonyms, where it is not in a variable."
    )
    pseudonym_key: Annotated[SecretStr, Field(min_length=32)] | None = Field(
        default=None,
        validate_default=True,
        description="makes customer and session ids pseudonyms; the pipeline's ML_PSEUDONYM_KEY",
    )
    future_tolerance_seconds: int = Field(
        default=3600, ge=0, description="How far a sender's clock may run ahead."
    )

    @field_validator("api_key")
    @classmethod
    def _some_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None and info.data.get("keys_file") is None:
            raise PydanticCustomError("missing", "neither a key nor a file of keys")
        return value

    @field_validator("pseudonym_key")
    @classmethod
    def _shared_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """A file made on the spot would give each pod its own pseudonyms."""
        local = info.data.get("environment") == LOCAL
        if value is None and info.data.get("pseudonym_key_file") is None and not local:
            raise PydanticCustomError("missing", "no key for pseudonyms outside of a laptop")
        return value

    def pseudonym_secret(self) -> bytes:
        """The key of the pseudonyms; on a laptop a file beside the inbox, made once.

        Raises:
            BadPseudonymKey: There is none, or it or its file is too short or cannot be read.
        """
        given = None if self.pseudonym_key is None else self.pseudonym_key.get_secret_value()
        beside = self.inbox.parent / KEY_FILE if isinstance(self.inbox, Path) else None
        return read_key(given, self.pseudonym_key_file, beside)
