"""API keys by source: a file of their hashes, read again when it changes, and the one key of a service's variable.

A key is random with 256 bits, so its plain sha256 cannot be turned back or guessed and needs no salt (NIST SP 800-63B
asks for slow hashes where people choose secrets). Looking a digest up takes a time that depends on the digest alone,
and nobody can choose keys by their digests, so the time says nothing of the keys there are.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Self

from prometheus_client import CollectorRegistry, Gauge
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from apps.chassis.problems import field_path
from apps.chassis.settings import BadSettings

log = logging.getLogger(__name__)

HEADER = "X-API-Key"

Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]{0,62}$")]
Origin = Annotated[str, Field(pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$")]


class Role(StrEnum):
    """What a key may do; a route says which of them it takes."""

    sender = "sender"
    browser = "browser"
    viewer = "viewer"
    controller = "controller"


class StoredKey(BaseModel):
    """One line of the file: what a key may do, for whom, where and when; the key itself is not in it.

    A browser key is public, since it stands in a page: it has no other role, and its `origins` are the pages it is for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    source: Name
    environment: Name
    roles: frozenset[Role] = Field(min_length=1)
    origins: frozenset[Origin] = frozenset()
    not_before: AwareDatetime | None = None
    not_after: AwareDatetime | None = None
    requests_per_second: float | None = Field(default=None, gt=0)

    @property
    def caller(self) -> str:
        """What metrics and logs call whoever has the key: its source, and enough of the hash to tell two keys apart."""
        return f"{self.source}:{self.sha256[:8]}"

    @model_validator(mode="after")
    def _browser_alone(self) -> Self:
        if Role.browser in self.roles and len(self.roles) > 1:
            raise ValueError("a browser key is public and can have no other role")
        if (Role.browser in self.roles) != bool(self.origins):
            raise ValueError("origins are needed for a browser key and are for no other")
        return self


class BadKeyFile(BadSettings):
    """The file of keys cannot be used; the text names the line and shows nothing of it."""


def key_header(key: SecretStr | None) -> dict[str, str]:
    """What a service that has a key at another one sends with each request."""
    return {} if key is None else {HEADER: key.get_secret_value()}


def digest(key: str) -> str:
    """The sha256 (hex) under which a key is stored."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def read_keys(file: Path) -> Mapping[str, StoredKey]:
    """Keys by digest; one JSON object a line, empty lines apart.

    Raises:
        BadKeyFile: The file cannot be read, has no key, a line that is none, or a key twice.
    """
    found: dict[str, StoredKey] = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadKeyFile(f"the keys in {str(file)!r} cannot be read ({type(error).__name__})") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            key = _parsed(line, f"line {number} of {str(file)!r}")
            if key.sha256 in found:
                raise BadKeyFile(f"line {number} of {str(file)!r} has a key that is there already")
            found[key.sha256] = key
    if not found:
        raise BadKeyFile(f"there is no key in {str(file)!r}; `python -m apps.collector key --help` makes one")
    return MappingProxyType(found)


def _parsed(line: str, place: str) -> StoredKey:
    try:
        return StoredKey.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadKeyFile(f"{place} is no key: {field_path(first['loc'])}: {first['msg']}") from None


class KeyRing:
    """The keys that a service takes.

    A file that changes is read at the next request. While what is there cannot be used, the keys from before stay, a
    log line says why, and the gauge `api_keys_refused` is 1.

    Args:
        environment: Where the service runs; a key for another one is known and refused.
        own: The key of the service's variable: every role but that of browsers, without an end.
        source: What `own` calls its sender.
        file: One `StoredKey` as JSON a line.
        registry: Gets the gauges `api_keys` and `api_keys_refused` where there is a file.

    Raises:
        BadKeyFile: The file cannot be used at the start.
    """

    def __init__(
        self,
        environment: str = "local",
        *,
        own: SecretStr | None = None,
        source: str = "own",
        file: Path | None = None,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.environment, self.clock, self._file = environment, clock, file
        self._own: dict[str, StoredKey] = {}
        if own is not None:
            roles = frozenset(Role) - {Role.browser}
            hashed = digest(own.get_secret_value())
            self._own[hashed] = StoredKey(sha256=hashed, source=source, environment=environment, roles=roles)
        self._stored: Mapping[str, StoredKey] = {}
        self._seen: tuple[int, int, int] | None = None
        if file is not None:
            registry = registry or CollectorRegistry()
            self._count = Gauge("api_keys", "API keys of the file that are in use.", registry=registry)
            self._broken = Gauge(
                "api_keys_refused", "1 while the file of API keys cannot be used.", registry=registry
            )
            self._seen = _signature(file)
            self._take(read_keys(file))

    @property
    def has_file(self) -> bool:
        """Whether there are keys of more than the service's own variable."""
        return self._file is not None

    def find(self, offered: str) -> StoredKey | None:
        """What is known of a key, whether it may be used or not."""
        self._refresh()
        hashed = digest(offered)
        return self._own.get(hashed) or self._stored.get(hashed)

    def origins(self) -> frozenset[str]:
        """The origins of all browser keys of this environment."""
        self._refresh()
        here = (key for key in self._stored.values() if key.environment == self.environment)
        return frozenset[str]().union(*(key.origins for key in here))

    def _refresh(self) -> None:
        if self._file is None or (signature := _signature(self._file)) == self._seen:
            return
        self._seen = signature
        try:
            self._take(read_keys(self._file))
        except BadKeyFile as error:
            self._broken.set(1)
            log.error("api_keys_refused", extra={"reason": str(error), "in_use": len(self._stored)})  # noqa: TRY400

    def _take(self, keys: Mapping[str, StoredKey]) -> None:
        self._stored = keys
        self._count.set(len(keys))
        self._broken.set(0)
        log.info("api_keys_read", extra={"keys": len(keys)})


def _signature(file: Path) -> tuple[int, int, int] | None:
    """Changes with the file; a mounted Secret is replaced by a link to another folder."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
