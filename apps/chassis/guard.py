"""Decides of one request: who asks, in which roles, and whether the caller's rate allows it."""

import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from starlette.types import Scope

from apps.chassis.keys import KeyRing, Role, StoredKey
from apps.chassis.limits import RateLimits
from apps.chassis.problems import Problem
from apps.chassis.settings import AccessSettings, CallerSettings

if TYPE_CHECKING:
    from apps.chassis.tokens import Tokens

log = logging.getLogger(__name__)

TOKENS = "tokens"
"""What metrics and logs call whoever has a token: their number has no bound, and their names are people's."""


class Guard:
    """The credentials that a service takes, and the limits of those who have one.

    Args:
        keys: API keys.
        tokens: Of an identity provider.
        limits: How often a caller may ask.
    """

    def __init__(
        self, keys: KeyRing | None = None, tokens: "Tokens | None" = None, limits: RateLimits | None = None
    ) -> None:
        self.keys, self.tokens, self._limits = keys, tokens, limits

    @property
    def has_credentials(self) -> bool:
        """Whether there is anything that a caller could show."""
        return self.keys is not None or self.tokens is not None

    @property
    def open_to_readers(self) -> bool:
        """Whether no one could be given leave to read: a service with at most its own key."""
        return self.tokens is None and (self.keys is None or not self.keys.has_file)

    async def admit(self, scope: Scope, roles: frozenset[Role]) -> None:
        """Let a request through that shows a key or a token with one of `roles`, at its caller's rate.

        Raises:
            Problem: 401 without a credential or with one that does not hold; 403 for one of other roles, of another
                environment or of other origins; 429 over the rate; 503 where a token cannot be checked.
        """
        offered, authorization, origin = _sent(scope)
        if offered is None and authorization is not None and self.tokens is not None:
            await self._admit_bearer(scope, self.tokens, authorization, roles)
            return
        key = admitted(self.keys or KeyRing(), offered, roles, origin)
        scope["caller"] = key.caller
        await self.count(key)

    async def count(self, key: StoredKey) -> None:
        """Let one request of a key's holder through at the holder's rate, where rates are kept.

        Raises:
            Problem: 429 over the rate.
        """
        if self._limits is not None:
            await self._limits.take(key.sha256, key.caller, key.requests_per_second)

    async def _admit_bearer(
        self, scope: Scope, tokens: "Tokens", authorization: str, roles: frozenset[Role]
    ) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthorized(
                "credential-missing", "send a key as X-API-Key, or Authorization: Bearer with a token"
            )
        bearer = await tokens.bearer(token.strip())
        if not bearer.roles & roles:
            raise _forbidden(
                "role-refused", f"this takes a token of the roles {_named(roles)}, not {_named(bearer.roles)}"
            )
        scope["caller"] = TOKENS
        if self._limits is not None:
            await self._limits.take(bearer.bucket, TOKENS)

    async def close(self) -> None:
        """Give up connections."""
        if self.tokens is not None:
            await self.tokens.close()
        if self._limits is not None:
            await self._limits.close()


def guard_of(
    settings: AccessSettings, service: str, registry: CollectorRegistry, own: SecretStr | None = None
) -> Guard:
    """The guard that a service's settings describe; without a file of keys and a provider nothing is limited.

    Raises:
        BadKeyFile: The file of API keys cannot be used.
    """
    keys = None
    if own is not None or settings.keys_file is not None:
        keys = KeyRing(
            settings.environment, own=own, source=service, file=settings.keys_file, registry=registry
        )
    if settings.keys_file is None and settings.oidc_issuer is None:
        log.warning(
            "open_to_readers",
            extra={"reason": "neither a file of keys nor an identity provider is set, so anybody may read"},
        )
        return Guard(keys)
    return Guard(keys, _tokens(settings, registry), limits_of(settings, service, registry))


def _tokens(settings: AccessSettings, registry: CollectorRegistry) -> "Tokens | None":
    if settings.oidc_issuer is None:
        return None
    from apps.chassis.tokens import Tokens  # noqa: PLC0415 - its libraries cost 0.2 s and 19 MiB

    return Tokens.of(settings, registry)


def limits_of(settings: CallerSettings, service: str, registry: CollectorRegistry) -> RateLimits:
    """The rates of a service's callers, shared by its replicas where the settings name a store."""
    shared = None
    if settings.rate_store is not None:
        from apps.chassis.redis_buckets import RedisBuckets  # noqa: PLC0415 - 0.2 s and 8 MiB

        prefix = f"limit:{settings.environment}:{service}:"
        shared = RedisBuckets(settings.rate_store, prefix, settings.rate_store_timeout_seconds)
    return RateLimits(settings.rate_per_second, settings.rate_burst_seconds, shared=shared, registry=registry)


def admitted(ring: KeyRing, offered: str | None, roles: frozenset[Role], origin: str | None) -> StoredKey:
    """The key that was offered, if it may do what `roles` may, here, now and from that origin."""
    key = ring.find(offered or "")
    if key is None:
        raise _unauthorized(
            "api-key-refused", "the X-API-Key header is missing or wrong; send a key that this service knows"
        )
    if key.environment != ring.environment:
        raise _forbidden(
            "key-of-another-environment",
            f"the key is for the environment {key.environment!r}, and this is {ring.environment!r}",
        )
    now = ring.clock()
    if key.not_before is not None and now < key.not_before:
        raise _unauthorized("key-not-yet-valid", f"the key is valid from {key.not_before.isoformat()} on")
    if key.not_after is not None and now >= key.not_after:
        raise _unauthorized(
            "key-expired", f"the key was valid until {key.not_after.isoformat()}; ask for a new one"
        )
    if not key.roles & roles:
        raise _forbidden(
            "role-refused", f"this takes a key of the roles {_named(roles)}, not {_named(key.roles)}"
        )
    if key.origins and origin not in key.origins:
        raise _forbidden(
            "origin-refused", "the key is for pages of other origins; add this one to the key's line"
        )
    return key


def _sent(scope: Scope) -> tuple[str | None, str | None, str | None]:
    """The key, the authorization and the origin that a request shows; of a header that comes twice the first one."""
    offered = authorization = origin = None
    for name, value in scope["headers"]:
        if name == b"x-api-key" and offered is None:
            offered = value.decode("latin-1")
        elif name == b"authorization" and authorization is None:
            authorization = value.decode("latin-1")
        elif name == b"origin" and origin is None:
            origin = value.decode("latin-1")
    return offered, authorization, origin


def _unauthorized(name: str, detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, name, detail, headers={"WWW-Authenticate": "APIKey"})


def _forbidden(name: str, detail: str) -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, name, detail)


def _named(roles: Iterable[Role]) -> str:
    return ", ".join(sorted(roles)) or "none"
