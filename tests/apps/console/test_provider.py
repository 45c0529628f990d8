"""Sign-in at an identity provider, played by the test: what it may send back, and everything that signs nobody in."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from apps.console.main import create
from apps.console.settings import ConsoleSettings
from tests.apps.client import Client, answering
from tests.apps.console.repository import promoted
from tests.apps.identity_provider import Provider, provider

CLIENT, PUBLIC = "console-local", "http://127.0.0.1:8003"


class Exchange:
    """The token endpoint: one code for whoever proves to have begun the sign-in (RFC 7636)."""

    def __init__(self) -> None:
        self.url, self.challenge, self.answer = "", "", dict[str, Any]()
        self.asked: list[dict[str, str]] = []

    def tokens(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.asked.append(form)
        made = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proven = base64.urlsafe_b64encode(made).rstrip(b"=").decode() == self.challenge
        right = {
            "grant_type": "authorization_code",
            "code": "c0de",
            "redirect_uri": f"{PUBLIC}/sign-in/callback",
        }
        if not proven or right.items() - form.items():
            return 400, {"error": "invalid_grant"}
        return 200, {"token_type": "Bearer", "access_token": "an-access-token", **self.answer}


@contextmanager
def exchange() -> Iterator[Exchange]:
    found = Exchange()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, answer = found.tokens(dict(parse_qsl(sent)))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_address[1]}/token"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


class World:
    """A console, its provider, and a browser that begins to sign in."""

    def __init__(self, idp: Provider, exchange: Exchange, client: Client) -> None:
        self.idp, self.exchange, self.client = idp, exchange, client

    def begin(self) -> dict[str, str]:
        """What the browser brings to the provider."""
        self.client.get("/sign-in", params={"after": "/models"})
        address = urlsplit(self.client.get("/sign-in/provider").headers["location"])
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        self.exchange.challenge = asked["code_challenge"]
        return asked

    def come_back(
        self, asked: dict[str, str], *roles: str, code: str = "c0de", state: str = "", **claims: Any
    ) -> Any:
        """The answer to the browser that the provider sent back."""
        said = {"aud": CLIENT, "nonce": asked["nonce"], "preferred_username": "ada"} | claims
        self.exchange.answer = {"id_token": self.idp.token(*roles, **said)}
        return self.client.get("/sign-in/callback", params={"code": code, "state": state or asked["state"]})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("provider")
    promoted(folder / "repository.git")
    with provider() as idp, exchange() as tokens:
        idp.answers["/.well-known/openid-configuration"] = {
            "issuer": idp.url,
            "jwks_uri": f"{idp.url}/keys",
            "authorization_endpoint": f"{idp.url}/authorize",
            "token_endpoint": tokens.url,
        }
        with answering(create(settings(folder, idp))) as client:
            yield World(idp, tokens, client)


def settings(folder: Path, idp: Provider) -> ConsoleSettings:
    nowhere = {f"{name}_url": "http://127.0.0.1:9" for name in ("collector", "forecast", "decision")}
    values = {
        "repository": folder / "repository.git",
        "public_url": PUBLIC,
        "oidc_issuer": idp.url,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": "a-client-secret",
    }
    return ConsoleSettings.model_validate(nowhere | values)


def test_a_person_signs_in_in_the_role_of_the_claim(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "apps")
    asked = world.begin()
    assert {
        name: asked[name] for name in ("response_type", "client_id", "redirect_uri", "code_challenge_method")
    } == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": f"{PUBLIC}/sign-in/callback",
        "code_challenge_method": "S256",
    }
    assert set(asked["scope"].split()) == {"openid", "profile"}
    answer = world.come_back(asked, "viewer", "something-else")
    assert (answer.status_code, answer.headers["location"]) == (303, "/models")
    page = world.client.get("/models")
    assert (page.status_code, "ada" in page.text) == (200, True)
    assert world.client.get("/releases/roll-back").status_code == 403
    everything = (
        page.text + answer.headers["set-cookie"] + "".join(str(each.__dict__) for each in caplog.records)
    )
    for secret in ("an-access-token", world.exchange.answer["id_token"], "c0de", "a-client-secret"):
        assert secret not in everything


def test_a_controller_of_the_provider_may_roll_back(world: World) -> None:
    assert world.come_back(world.begin(), "controller").status_code == 303
    assert world.client.get("/releases/roll-back").status_code == 200


Play = Callable[[World], Any]
WRONG: dict[str, Play] = {
    "another state": lambda w: w.come_back(w.begin(), "viewer", state="x"),
    "a code that was not given": lambda w: w.come_back(w.begin(), "viewer", code="other"),
    "no code": lambda w: w.come_back(w.begin(), "viewer", code=""),
    "another nonce": lambda w: w.come_back(w.begin(), "viewer", nonce="x"),
    "no nonce": lambda w: w.come_back(w.begin(), "viewer", nonce=None),
    "another audience": lambda w: w.come_back(w.begin(), "viewer", aud="other"),
    "another issuer": lambda w: w.come_back(w.begin(), "viewer", iss="https://evil.example"),
    "expired": lambda w: w.come_back(w.begin(), "viewer", exp=1),
    "no role": lambda w: w.come_back(w.begin()),
    "a role of elsewhere": lambda w: w.come_back(w.begin(), "approver"),
    "nobody's name": lambda w: w.come_back(w.begin(), "viewer", preferred_username=None),
    "a name with a line's end": lambda w: w.come_back(w.begin(), "viewer", preferred_username="a\nb"),
    "unsigned": lambda w: w.come_back(w.begin(), "viewer", algorithm="none"),
    "signed with the client's secret": lambda w: w.come_back(
        w.begin(), "viewer", algorithm="HS256", key=b"a-client-secret"
    ),
    "a verifier of another sign-in": lambda w: w.come_back(first(w), "viewer"),
}


def first(world: World) -> dict[str, str]:
    """A second sign-in begins, and the code of the first one comes back."""
    challenge = (world.begin(), world.exchange.challenge)[1]
    asked = world.begin()
    world.exchange.challenge = challenge
    return asked


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_hold_signs_nobody_in(world: World, wrong: str) -> None:
    leave(world)
    answer = WRONG[wrong](world)
    assert answer.status_code in {401, 403}
    assert "You are not signed in." in answer.text
    assert world.client.get("/models").status_code == 303


def test_a_way_back_is_taken_once(world: World) -> None:
    leave(world)
    asked = world.begin()
    assert world.come_back(asked, "viewer", state="x").status_code == 403
    assert world.come_back(asked, "viewer").headers["location"] == "/sign-in"


def test_while_the_provider_is_away_nobody_comes_in_and_the_page_says_so(tmp_path: Path) -> None:
    promoted(tmp_path / "repository.git")
    with provider() as idp, answering(create(settings(tmp_path, idp))) as client:
        idp.down = True
        answer = client.get("/sign-in/provider")
        assert (answer.status_code, "does not answer" in answer.text) == (503, True)


def leave(world: World) -> None:
    """End the session as the browser's owner would: by forgetting its cookies."""
    world.client.forget()
