"""Keys of an identity provider rotate, go away and come back."""

import asyncio
import threading
import time
from typing import Any

import pytest

from apps.chassis.problems import Problem
from apps.chassis.signing_keys import FRESH_SECONDS, INTERVAL_SECONDS, NoKeys, usable
from tests.apps.chassis.token_world import STALE_SECONDS, World, played
from tests.apps.identity_provider import PrivateKey, Provider, ec_key, jwk, rsa_key


def test_a_key_that_the_provider_adds_is_known_at_its_first_token(idp: Provider) -> None:
    async def play(world: World) -> None:
        assert await world.said(idp.token("viewer")) == "viewer"
        idp.keys["two"] = rsa_key("two")
        world.passed = INTERVAL_SECONDS
        assert await world.said(idp.token("viewer", kid="two")) == "viewer"
        assert idp.fetches == 2

    played(idp, play)


def test_unknown_keys_ask_the_provider_once_per_interval(idp: Provider) -> None:
    async def play(world: World) -> None:
        await world.said(idp.token("viewer"))
        for number in range(50):
            unknown = idp.token("viewer", kid=f"made-up-{number}", key=rsa_key("two"))
            assert await world.said(unknown) == "token-refused"
        assert idp.fetches == 1
        world.passed = INTERVAL_SECONDS
        made_up = [idp.token("viewer", kid=f"again-{each}", key=rsa_key("two")) for each in range(50)]
        assert set(await asyncio.gather(*map(world.said, made_up))) == {"token-refused"}
        assert idp.fetches == 2

    played(idp, play)


def test_a_key_that_the_provider_drops_is_refused_within_minutes(idp: Provider) -> None:
    async def play(world: World) -> None:
        token = idp.token("viewer", exp=time.time() + 10_000)
        assert await world.said(token) == "viewer"
        del idp.keys["one"]
        assert await world.said(token) == "viewer", "nobody knows yet"
        world.passed = FRESH_SECONDS
        await world.until(token, "token-refused")

    played(idp, play)


def test_keys_stay_while_the_provider_is_down_up_to_the_bound(idp: Provider) -> None:
    async def play(world: World) -> None:
        token = idp.token("viewer", exp=time.time() + 10_000)
        assert await world.said(token) == "viewer"
        idp.down = True
        for world.passed in (FRESH_SECONDS, STALE_SECONDS / 2, STALE_SECONDS - 1):
            assert await world.said(token) == "viewer"
            assert await world.said(idp.token("viewer", sub=f"{world.passed}")) == "viewer"
        world.passed = STALE_SECONDS
        assert await world.said(token) == "identity-provider-unavailable"
        assert world.fetches("failed") >= 1
        idp.down = False
        world.passed += INTERVAL_SECONDS
        assert await world.said(token) == "viewer"

    played(idp, play)


def test_a_provider_that_was_never_there_is_a_503_and_heals_without_a_restart(idp: Provider) -> None:
    async def play(world: World) -> None:
        idp.down = True
        with pytest.raises(Problem) as refused:
            await world.tokens.bearer(idp.token("viewer"))
        assert refused.value.status_code == 503
        assert refused.value.headers is not None
        assert refused.value.headers["Retry-After"]
        idp.down = False
        assert await world.said(idp.token("viewer")) == "identity-provider-unavailable"
        world.passed = INTERVAL_SECONDS
        assert await world.said(idp.token("viewer")) == "viewer"

    played(idp, play)


def test_a_slow_provider_holds_up_nobody_whose_key_is_known(idp: Provider) -> None:
    async def play(world: World) -> None:
        token = idp.token("viewer", exp=time.time() + 10_000)
        await world.said(token)
        idp.slow = threading.Event()
        world.passed = FRESH_SECONDS
        started = time.monotonic()
        assert await world.said(token) == "viewer"
        assert time.monotonic() - started < 1
        idp.slow.set()

    played(idp, play)


BROKEN: dict[str, dict[str, Any]] = {
    "no keys": {"/keys": {"keys": []}},
    "not a set": {"/keys": {"kid": "one"}},
    "no object": {"/keys": [1]},
    "too large": {"/keys": {"keys": [], "filling": "x" * 300_000}},
    "another issuer": {
        "/.well-known/openid-configuration": {"issuer": "https://evil.example", "jwks_uri": "https://x"}
    },
    "no address": {"/.well-known/openid-configuration": {"jwks_uri": 7}},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_cannot_be_used_leaves_the_keys_there_are(idp: Provider, broken: Any) -> None:
    async def play(world: World) -> None:
        token = idp.token("viewer", exp=time.time() + 10_000)
        await world.said(token)
        idp.answers = broken
        world.passed = FRESH_SECONDS
        assert await world.said(token) == "viewer"
        deadline = time.monotonic() + 10
        while not world.fetches("failed"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert await world.said(token) == "viewer"
        assert world.fetches("fetched") == 1

    played(idp, play)


def test_of_a_set_only_public_keys_for_the_two_algorithms_are_taken() -> None:
    right: dict[str, PrivateKey] = {"one": rsa_key("one"), "curve": ec_key("curve")}
    one = jwk("one", right["one"])
    wrong = [
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
        {**one, "kid": "for-encryption", "use": "enc"},
        {**one, "kid": "other-algorithm", "alg": "RS512"},
        {**one, "kid": "symmetric", "alg": "HS256"},
        {**one, "kid": "private", "d": "AQAB"},
        {**one, "kid": 7},
        {"kty": "RSA", "kid": "empty"},
        {"kty": "EC", "crv": "P-384", "kid": "other-curve", "x": "AA", "y": "AA"},
        jwk("short", rsa_key("short", 1024)),
        "no object",
    ]
    given = {"keys": [*wrong, *(jwk(name, key) for name, key in right.items())]}
    assert usable(given).keys() == right.keys()
    with pytest.raises(NoKeys):
        usable({"keys": wrong})
