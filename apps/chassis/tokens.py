"""Tokens of an identity provider: JWTs (RFC 7519) that say who asks and in which roles.

Checked as RFC 8725 advises: the algorithm is the key's, never the token's word; issuer, audience, subject and expiry
must be there and right. A checked token is remembered by its hash, so its signature costs once.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import jwt
from jwt import PyJWK
from prometheus_client import CollectorRegistry

from apps.chassis.keys import Role
from apps.chassis.settings import AccessSettings
from apps.chassis.signing_keys import ALGORITHMS, SigningKeys, refused_token

LEEWAY_SECONDS = 30
"""How far the clocks of the provider and of this machine may be apart."""
MOST_CHARACTERS = 8_192
MOST_KEPT = 10_000
ROLES = {str(role): role for role in (Role.viewer, Role.controller)}
"""What a token can make of its bearer."""

_REASONS: Mapping[type[jwt.InvalidTokenError], tuple[str, str]] = {
    jwt.ExpiredSignatureError: ("token-expired", "the token has expired; ask for a new one"),
    jwt.ImmatureSignatureError: ("token-not-yet-valid", "the token is not valid yet; look at the clocks"),
    jwt.InvalidAudienceError: (
        "token-of-another-audience",
        "the token is for another service or environment; ask for one for this audience",
    ),
    jwt.InvalidIssuerError: ("token-of-another-issuer", "the token is of another identity provider"),
}


class Bearer(NamedTuple):
    """Whom a token names: the subject at its issuer, as a hash that holds nothing of it, and the roles."""

    bucket: str
    roles: frozenset[Role]


class _Kept(NamedTuple):
    bearer: Bearer
    key_id: str
    key: PyJWK
    until: float


class Tokens:
    """What the tokens of one identity provider say.

    Args:
        issuer: Must be the token's `iss`, to the letter.
        audience: Must be in its `aud`.
        roles_claim: Where its roles are; a dotted name leads into objects unless a claim is called so.
        keys: What it may be signed with.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        roles_claim: str,
        keys: SigningKeys,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuer, self._audience, self._roles_claim = issuer, audience, roles_claim
        self._keys, self._clock = keys, clock
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    @classmethod
    def of(cls, settings: AccessSettings, registry: CollectorRegistry) -> "Tokens":
        """Of the provider that the settings name."""
        issuer, audience = settings.oidc_issuer or "", settings.oidc_audience or ""
        keys = SigningKeys(issuer, settings.oidc_stale_seconds, registry)
        return cls(issuer, audience, settings.oidc_roles_claim, keys)

    async def bearer(self, token: str) -> Bearer:
        """Whom the token names.

        Raises:
            Problem: 401, it does not hold here; 503, nobody can tell, since the provider gives no keys.
        """
        hashed = sha256(token.encode("utf-8", "surrogatepass")).digest()
        kept = self._kept.get(hashed)
        if kept is not None and self._clock() < kept.until:
            # A key that is fetched anew is another object: a token never outlives the key that it was checked with.
            if await self._keys.find(kept.key_id) is kept.key:
                return kept.bearer
            del self._kept[hashed]
        checked = await self._checked(token)
        self._kept[hashed] = checked
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return checked.bearer

    async def claims(self, token: str) -> dict[str, Any]:
        """What the token says, checked as for `bearer`, and remembered nowhere.

        Raises:
            Problem: As `bearer`.
        """
        return (await self._decoded(token))[0]

    async def close(self) -> None:
        """End a fetch of keys that is under way."""
        await self._keys.close()

    async def _checked(self, token: str) -> _Kept:
        claims, key_id, key = await self._decoded(token)
        subject = sha256(f"{self._issuer} {claims['sub']}".encode()).hexdigest()
        roles = frozenset(ROLES[said] for said in said_in(claims, self._roles_claim) if said in ROLES)
        return _Kept(Bearer(subject, roles), key_id, key, float(claims["exp"]) + LEEWAY_SECONDS)

    async def _decoded(self, token: str) -> tuple[dict[str, Any], str, PyJWK]:
        """The claims of a token that holds, and the key that it was checked with."""
        if len(token) > MOST_CHARACTERS:
            raise refused_token("token-refused", f"the token has more than {MOST_CHARACTERS} characters")
        key_id = _key_id(token)
        key = await self._keys.find(key_id)
        if key is None:
            raise refused_token(
                "token-refused", "the identity provider has no key of the id that the token names"
            )
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.InvalidTokenError as error:
            usual = ("token-refused", "the token is damaged, is signed by somebody else, or lacks a claim")
            raise refused_token(
                *next((_REASONS[kind] for kind in type(error).__mro__ if kind in _REASONS), usual)
            ) from None
        return claims, key_id, key


def _key_id(token: str) -> str:
    """The id of the key that the token says it is signed with; nothing of it is believed yet."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise refused_token("token-refused", "what comes after Bearer is no token") from None
    if header.get("alg") not in ALGORITHMS:
        raise refused_token("token-refused", f"a token is signed with {' or '.join(sorted(ALGORITHMS))}")
    if "crit" in header or not isinstance(header.get("kid"), str):
        raise refused_token("token-refused", "a token names its key (kid) and has no critical header")
    return str(header["kid"])


def said_in(claims: Mapping[str, Any], name: str) -> Iterable[str]:
    """The texts of a claim: a list of them, or one with spaces between; nothing where there is neither."""
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, str):
        return found.split()
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else ()
