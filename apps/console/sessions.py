"""Who is signed in: a cookie that scripts cannot read and that nobody can write without the key.

It holds a name, roles and a token for forms, signed (JWS, HS256) and with an end; what an identity provider said is not
kept, so no token of its own can leave this process.
"""

import secrets
import time
from typing import Literal

import jwt
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from apps.chassis.keys import Role

KEY_CHARACTERS = 32
FLOW_SECONDS = 600
"""How long somebody may take to sign in."""

_ALGORITHM = "HS256"


class Flow(BaseModel):
    """What a sign-in at the identity provider must come back with (RFC 6749, RFC 7636, OpenID Connect Core 1.0)."""

    model_config = ConfigDict(frozen=True)

    state: str
    nonce: str
    verifier: str


class Session(BaseModel):
    """One browser; `name` is empty until somebody signs in. `form` must come back with every change."""

    model_config = ConfigDict(frozen=True)

    name: str = ""
    roles: frozenset[Role] = frozenset()
    by: Literal["", "password", "provider"] = ""
    form: str
    after: str = "/"
    flow: Flow | None = None


class Sessions:
    """Reads and writes the cookie.

    Args:
        key: Signs it; the same in all replicas. Without one it is made here, and ends with the process.
        environment: A session of one environment is none in another, whatever the keys.
        secure: Whether browsers may send it over HTTPS alone.
        seconds: How long somebody stays signed in.
    """

    def __init__(self, key: str | None, environment: str, *, secure: bool, seconds: float) -> None:
        self._key = key or secrets.token_urlsafe(KEY_CHARACTERS)
        self._audience, self._secure, self._seconds = f"console/{environment}", secure, seconds
        self.cookie = "__Host-console" if secure else "console"

    def fresh(self, after: str = "/", flow: Flow | None = None) -> Session:
        """A session of nobody; each has a token of its own."""
        return Session(form=secrets.token_urlsafe(24), after=after, flow=flow)

    def read(self, scope: Scope) -> Session | None:
        """The session of a request; None without one, and for one that ended or was not written here."""
        sent = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
        sealed = cookie_parser(sent.decode("latin-1")).get(self.cookie, "")
        try:
            claims = jwt.decode(
                sealed,
                self._key,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                options={"require": ["exp", "aud"]},
            )
            return Session.model_validate(claims)
        except (jwt.InvalidTokenError, ValidationError):
            return None

    def write(self, response: Response, session: Session) -> None:
        """Let the browser keep a session."""
        seconds = int(self._seconds if session.name else FLOW_SECONDS)
        claims = session.model_dump(mode="json") | {"aud": self._audience, "exp": int(time.time()) + seconds}
        self._set(response, jwt.encode(claims, self._key, _ALGORITHM), seconds)

    def clear(self, response: Response) -> None:
        """Let the browser forget it."""
        self._set(response, "", 0)

    def _set(self, response: Response, value: str, seconds: int) -> None:
        response.set_cookie(
            self.cookie,
            value,
            max_age=seconds,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",  # "strict" would lose it on the way back from the identity provider
        )
