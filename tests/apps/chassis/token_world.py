"""Tokens of a provider on the loopback, by clocks that a test moves."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry

from apps.chassis.problems import Problem
from apps.chassis.signing_keys import SigningKeys
from apps.chassis.tokens import Tokens
from tests.apps.identity_provider import AUDIENCE, Provider

STALE_SECONDS = 3600.0


class World:
    """Tokens of a provider, by clocks that a test moves."""

    def __init__(self, idp: Provider) -> None:
        self.idp, self.registry, self.passed = idp, CollectorRegistry(), 0.0
        self.keys = SigningKeys(idp.url, STALE_SECONDS, self.registry, lambda: 1_000.0 + self.passed)
        self.tokens = Tokens(idp.url, AUDIENCE, "roles", self.keys, lambda: time.time() + self.passed)

    async def said(self, token: str) -> str:
        """The roles of a token, or the name of its refusal."""
        try:
            return " ".join((await self.tokens.bearer(token)).roles)
        except Problem as refused:
            return refused.name

    async def until(self, token: str, expected: str) -> None:
        """Ask until the fetch in the background is done."""
        deadline = time.monotonic() + 10
        while await self.said(token) != expected:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)

    def fetches(self, result: str) -> float:
        return self.registry.get_sample_value("oidc_key_fetches_total", {"result": result}) or 0.0


def played(idp: Provider, play: Callable[[World], Awaitable[None]]) -> None:
    async def whole() -> None:
        world = World(idp)
        try:
            await play(world)
        finally:
            await world.tokens.close()

    asyncio.run(whole())
