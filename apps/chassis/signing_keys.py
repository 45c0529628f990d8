"""The public keys of an identity provider, kept while it is away and fetched anew when they rotate (RFC 7517)."""

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import httpx
from jwt import PyJWK
from jwt.exceptions import InvalidKeyError, PyJWKError
from prometheus_client import CollectorRegistry, Counter, Gauge

from apps.chassis.outgoing import Caller
from apps.chassis.problems import Problem, unavailable

log = logging.getLogger(__name__)

ALGORITHMS = frozenset({"RS256", "ES256"})
FEWEST_RSA_BITS = 2048
FRESH_SECONDS = 300.0
"""A key that was taken from the provider is not used longer than this where the provider answers."""
INTERVAL_SECONDS = 30.0
"""Between two fetches at least, whatever tokens are sent."""
TIMEOUT_SECONDS = 3.0
MOST_BYTES = 256 * 1024


class NoKeys(Exception):
    """The provider did not give keys; the text says why."""


class SigningKeys:
    """The keys that tokens of one issuer may be signed with, by their ids.

    They are fetched at the first token, again after `FRESH_SECONDS`, and for an id that is not known, but at most once
    per `INTERVAL_SECONDS`. A provider that does not answer, or answers with no usable key, leaves the keys that there
    are for `stale_seconds`.

    Args:
        issuer: Its address; `/.well-known/openid-configuration` under it must name it (OpenID Connect Discovery 1.0).
        stale_seconds: How long keys are used after the provider last gave them.
        registry: Gets `oidc_key_fetches_total` by result, and `oidc_keys_fetched_timestamp_seconds`.
    """

    def __init__(
        self,
        issuer: str,
        stale_seconds: float,
        registry: CollectorRegistry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer, self._stale_seconds, self._clock = issuer, stale_seconds, clock
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at = self._tried_at = -math.inf
        self._fetching: asyncio.Task[None] | None = None
        self._client = Caller(
            timeout=TIMEOUT_SECONDS,
            limits=httpx.Limits(max_keepalive_connections=0),  # it is asked every few minutes
        )
        self._fetches = Counter(
            "oidc_key_fetches", "Fetches of the identity provider's keys.", ["result"], registry=registry
        )
        self._when = Gauge(
            "oidc_keys_fetched_timestamp_seconds", "When it last gave its keys.", registry=registry
        )

    async def find(self, key_id: str) -> PyJWK | None:
        """The key of this id; None if the issuer has none.

        Raises:
            Problem: 503, the issuer gave no keys for so long that those there are must not be used.
        """
        age_seconds = self._clock() - self._fetched_at
        found = self._keys.get(key_id)
        if found is None or age_seconds >= FRESH_SECONDS:
            fetching = self._fetch_if_due()
            if fetching is not None and (found is None or age_seconds >= self._stale_seconds):
                await asyncio.shield(fetching)  # of all who wait for it; one that leaves must not end it
        if self._clock() - self._fetched_at >= self._stale_seconds:
            detail = "the identity provider gives no keys, so tokens cannot be checked; API keys can"
            raise unavailable("identity-provider-unavailable", detail)
        return self._keys.get(key_id)

    async def close(self) -> None:
        """End a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._client.aclose()

    def _fetch_if_due(self) -> asyncio.Task[None] | None:
        """The fetch that is under way, a new one, or None where the last one is too young."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        now = self._clock()
        if now - self._tried_at < INTERVAL_SECONDS:
            return None
        self._tried_at = now
        self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                found = await self._configuration()
                keys = usable(await self._get(found["jwks_uri"]))
        except (NoKeys, httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            self._fetches.labels("failed").inc()
            log.warning(
                "oidc_keys_failed",
                extra={"issuer": self._issuer, "reason": f"{type(error).__name__}: {error}"},
            )
            return
        self._keys, self._fetched_at = keys, self._clock()
        self._fetches.labels("fetched").inc()
        self._when.set_to_current_time()

    async def _configuration(self) -> Mapping[str, Any]:
        said = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if said.get("issuer") != self._issuer or not isinstance(said.get("jwks_uri"), str):
            raise NoKeys("its configuration names another issuer, or no keys")
        if self._issuer.startswith("https:") and not said["jwks_uri"].startswith("https:"):
            raise NoKeys("its keys are not behind TLS")
        return said

    async def _get(self, url: str) -> Mapping[str, Any]:
        """One JSON object; a redirect is not followed."""
        async with self._client.stream("GET", url) as answer:
            if answer.status_code != HTTPStatus.OK:
                raise NoKeys(f"it answered {answer.status_code}")
            content = b""
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise NoKeys(f"it answered more than {MOST_BYTES} bytes")
        try:
            said = json.loads(content)
        except ValueError as error:
            raise NoKeys("it answered what is not JSON") from error
        if not isinstance(said, dict):
            raise NoKeys("it answered no object")
        return said


def usable(jwks: Mapping[str, Any]) -> Mapping[str, PyJWK]:
    """The keys of a JWK set that may sign a token here, by id: public, for `ALGORITHMS`, and large enough.

    Raises:
        NoKeys: There is none.
    """
    listed = jwks.get("keys")
    found: dict[str, PyJWK] = {}
    for entry in listed if isinstance(listed, list) else ():
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
            continue
        if entry.get("kty") not in {"RSA", "EC"} or entry.get("use", "sig") != "sig" or "d" in entry:
            continue
        try:
            key = PyJWK(entry)
        except (InvalidKeyError, PyJWKError):
            continue
        if key.algorithm_name in ALGORITHMS and (
            key.key_type != "RSA" or key.key.key_size >= FEWEST_RSA_BITS
        ):
            found[entry["kid"]] = key
    if not found:
        raise NoKeys("no key of it can be used")
    return found


def refused_token(name: str, detail: str) -> Problem:
    """The 401 answer to a token (RFC 6750)."""
    return Problem(
        HTTPStatus.UNAUTHORIZED, name, detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
    )
