"""Sign-in at an identity provider: the authorization code with PKCE, then claims of a checked ID token.

OpenID Connect Core 1.0, RFC 7636 (S256) and RFC 9700. The tokens are used once, here, and kept nowhere.
"""

import secrets
from http import HTTPStatus
from typing import Any

import httpx
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from prometheus_client import CollectorRegistry
from pydantic import AnyUrl, BaseModel, ValidationError

from apps.chassis.keys import Role
from apps.chassis.outgoing import Caller
from apps.chassis.problems import Problem
from apps.chassis.signing_keys import SigningKeys
from apps.chassis.tokens import ROLES, Tokens, said_in
from apps.console.sessions import Flow
from apps.console.settings import ConsoleSettings
from apps.console.sign_in import CALLBACK, Person, SignInFailed

LONGEST_NAME = 100


class _Endpoints(BaseModel):
    issuer: str
    authorization_endpoint: AnyUrl
    token_endpoint: AnyUrl


class Provider:
    """The identity provider of the settings, which must name one."""

    def __init__(self, settings: ConsoleSettings, registry: CollectorRegistry) -> None:
        secret = settings.oidc_client_secret
        self._issuer, self._client_id = settings.oidc_issuer or "", settings.oidc_client_id or ""
        self._secret = secret.get_secret_value() if secret else None
        self._redirect = f"{(settings.public_url or '').rstrip('/')}{CALLBACK}"
        self._roles_claim, self._name_claim = settings.oidc_roles_claim, settings.oidc_name_claim
        self._timeout_seconds = settings.oidc_timeout_seconds
        keys = SigningKeys(self._issuer, settings.oidc_stale_seconds, registry)
        self._tokens = Tokens(self._issuer, self._client_id, self._roles_claim, keys)
        self._caller = Caller(timeout=self._timeout_seconds, trust_env=False)
        self._endpoints: _Endpoints | None = None

    async def begin(self) -> tuple[str, Flow]:
        """Where the browser goes, and what it must come back with.

        Raises:
            SignInFailed: The provider does not answer.
        """
        endpoints = await self._discovered()
        flow = Flow(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
        )
        async with self._client() as client:
            address, _ = client.create_authorization_url(
                str(endpoints.authorization_endpoint),
                state=flow.state,
                code_verifier=flow.verifier,
                nonce=flow.nonce,
            )
        return str(address), flow

    async def finish(self, flow: Flow, code: str) -> Person:
        """Who came back with this code.

        Raises:
            SignInFailed: The provider refuses it or does not answer, its token does not hold, or it names nobody with
                a role here.
        """
        if not code:
            raise SignInFailed("the identity provider did not sign you in")
        endpoints = await self._discovered()
        try:
            async with self._client() as client:
                answer = await client.fetch_token(
                    str(endpoints.token_endpoint), code=code, code_verifier=flow.verifier
                )
        except OAuthError as error:
            raise SignInFailed(f"the identity provider refuses: {error.error}") from None
        except (httpx.HTTPError, ValueError):
            raise _away() from None
        return self._person(await self._claims(answer.get("id_token"), flow))

    async def close(self) -> None:
        """End what is under way."""
        await self._tokens.close()
        await self._caller.aclose()

    async def _claims(self, token: object, flow: Flow) -> dict[str, Any]:
        if not isinstance(token, str):
            raise SignInFailed("the identity provider gave no ID token; is the scope openid allowed?")
        try:
            claims = await self._tokens.claims(token)
        except Problem as problem:
            raise SignInFailed(str(problem.detail), HTTPStatus(problem.status_code)) from None
        if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), flow.nonce.encode()):
            raise SignInFailed("the ID token is of another sign-in; sign in again")
        return claims

    def _person(self, claims: dict[str, Any]) -> Person:
        name = claims.get(self._name_claim)
        if (
            not isinstance(name, str)
            or not name.strip()
            or len(name) > LONGEST_NAME
            or not name.isprintable()
        ):
            raise SignInFailed(f"the identity provider gives no name in the claim {self._name_claim!r}")
        roles: frozenset[Role] = frozenset(
            ROLES[said] for said in said_in(claims, self._roles_claim) if said in ROLES
        )
        if not roles:
            raise SignInFailed(f"{name} has no role here; ask whoever gives roles for viewer or controller")
        return Person(name.strip(), roles)

    def _client(self) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self._client_id,
            self._secret,
            scope="openid profile",
            redirect_uri=self._redirect,
            code_challenge_method="S256",
            timeout=self._timeout_seconds,
            trust_env=False,
        )

    async def _discovered(self) -> _Endpoints:
        """Its addresses (OpenID Connect Discovery 1.0), asked for once."""
        if self._endpoints is None:
            address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
            try:
                answer = await self._caller.get(address)
                found = _Endpoints.model_validate_json(answer.raise_for_status().content)
            except (httpx.HTTPError, ValidationError):
                raise _away() from None
            if found.issuer != self._issuer:
                raise SignInFailed("the identity provider names another issuer than its settings")
            self._endpoints = found
        return self._endpoints


def _away() -> SignInFailed:
    return SignInFailed("the identity provider does not answer; try again", HTTPStatus.SERVICE_UNAVAILABLE)
