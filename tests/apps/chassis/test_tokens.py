"""Tokens are checked once, remembered for as long as they hold, and read wherever providers put what they say."""

import json
import random
import time
from typing import Any

import jwt
import pytest

from apps.chassis import tokens as tokens_module
from apps.chassis.tokens import LEEWAY_SECONDS, MOST_KEPT, said_in
from tests.apps.chassis.token_world import World, played
from tests.apps.identity_provider import Provider


def test_a_token_is_checked_once_and_no_longer_than_it_is_valid(
    idp: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[str] = []
    whole = jwt.decode

    def counted(token: str, *given: Any, **options: Any) -> Any:
        checks.append(token)
        return whole(token, *given, **options)

    monkeypatch.setattr(jwt, "decode", counted)

    async def play(world: World) -> None:
        token = idp.token("viewer", exp=time.time() + 60)
        for _ in range(5):
            assert await world.said(token) == "viewer"
        assert len(checks) == 1
        other = token[:-8] + ("A" * 8)
        assert await world.said(other) == "token-refused", "another token is another hash"
        assert len(checks) == 2
        world.passed = 61 + LEEWAY_SECONDS
        await world.said(token)
        assert len(checks) == 3, "what is remembered ends with the token"

    played(idp, play)


def test_what_is_remembered_of_tokens_is_bounded(idp: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "MOST_KEPT", 3)
    assert MOST_KEPT >= 1_000

    async def play(world: World) -> None:
        for number in range(8):
            await world.said(idp.token("viewer", sub=str(number)))
        assert len(world.tokens._kept) == 3

    played(idp, play)


def test_two_tokens_of_a_subject_share_a_bucket_that_names_nobody(idp: Provider) -> None:
    async def play(world: World) -> None:
        first, again, other = [
            (await world.tokens.bearer(idp.token("viewer", sub=sub, jti=jti))).bucket
            for sub, jti in (("ayse@shop.example", "1"), ("ayse@shop.example", "2"), ("can", "3"))
        ]
        assert first == again != other
        assert "ayse" not in first

    played(idp, play)


@pytest.mark.parametrize(
    ("claims", "name", "found"),
    [
        ({"roles": ["viewer", 7, None]}, "roles", ["viewer"]),
        ({"scope": "openid viewer"}, "scope", ["openid", "viewer"]),
        ({"realm_access": {"roles": ["controller"]}}, "realm_access.roles", ["controller"]),
        ({"https://shop.example/roles": ["viewer"]}, "https://shop.example/roles", ["viewer"]),
        ({"realm_access": ["roles"]}, "realm_access.roles", []),
        ({"roles": {"viewer": True}}, "roles", []),
        ({}, "roles", []),
    ],
)
def test_roles_are_found_where_providers_put_them(
    claims: dict[str, Any], name: str, found: list[str]
) -> None:
    assert list(said_in(claims, name)) == found


def test_no_text_that_is_sent_as_a_token_is_a_defect(idp: Provider) -> None:
    dice = random.Random(8)  # noqa: S311 - no secret
    right = idp.token("viewer")
    alphabet = [chr(code) for code in range(1, 256)]

    def mangled() -> str:
        letters = list(right)
        for _ in range(dice.randint(1, 4)):
            letters[dice.randrange(len(letters))] = dice.choice(alphabet)
        return "".join(letters)

    heads = [
        b"{}",
        b"[]",
        b"null",
        b'{"alg":[]}',
        b'{"alg":"RS256","kid":[]}',
        b'{"alg":"RS256","kid":"one"}',
        b"\xff",
    ]
    texts = [mangled() for _ in range(300)]
    texts += [f"{encoded(head)}.{body}.x" for head in heads for body in ("", "e30", "bnVsbA", "W10")]

    async def play(world: World) -> None:
        assert await world.said(right) == "viewer"
        assert {await world.said(text) for text in texts} <= {"token-refused", "viewer"}

    played(idp, play)


def encoded(head: bytes) -> str:
    return jwt.utils.base64url_encode(head).decode()


def test_the_provider_of_these_tests_is_read_by_another_library(idp: Provider) -> None:
    """The tokens above are right ones, as others read them."""
    from joserfc import jwk as other_jwk  # noqa: PLC0415
    from joserfc import jwt as other  # noqa: PLC0415

    _, body = idp.answer("/keys")
    keys = other_jwk.KeySet.import_key_set(json.loads(body))
    for kid, algorithm in (("one", "RS256"), ("curve", "ES256")):
        token = idp.token("viewer", kid=kid, algorithm=algorithm)
        assert other.decode(token, keys, algorithms=[algorithm]).claims["roles"] == ["viewer"]
