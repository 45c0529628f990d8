"""The console lets in whom docs/access.md says: every role at every route, and every way to come in wrongly."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from pydantic import ValidationError

from apps.chassis.keys import Role
from apps.console import users
from apps.console.main import create
from apps.console.sessions import Sessions
from apps.console.settings import ConsoleSettings
from apps.console.sign_in import local_path
from tests.apps.client import Client, answering
from tests.apps.console.repository import promoted
from tests.apps.console.signed_in import PEOPLE, form_token, sign_in, signed_in, user, users_file
from tests.apps.services import table

ROUTES = {route[1:]: who for route, who in table().items() if route[0] == "console"}
CLOSED = {route: who for route, who in ROUTES.items() if who != "anyone"}
KEY = "k" * 40


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ConsoleSettings:
    folder = tmp_path_factory.mktemp("console")
    promoted(folder / "repository.git")
    return settings_in(folder)


def settings_in(folder: Path, **changes: Any) -> ConsoleSettings:
    nowhere = {f"{name}_url": "http://127.0.0.1:9" for name in ("collector", "forecast", "decision")}
    usual = {"repository": folder / "repository.git", "users_file": users_file(folder), "session_key": KEY}
    return ConsoleSettings.model_validate(nowhere | usual | changes)


@pytest.fixture(scope="module")
def browsers(settings: ConsoleSettings) -> Iterator[dict[str, Client]]:
    with (
        answering(create(settings)) as nobody,
        signed_in(settings, "viewer") as viewer,
        signed_in(settings, "controller") as controller,
    ):
        yield {"nobody": nobody, "viewer": viewer, "controller": controller}


def ask(client: Client, route: tuple[str, str], **options: Any) -> Any:
    method, path = route
    fields = {"{commit}": "0" * 40, "{product_id:path}": "P1", "{name}": "none", "{number}": "1"}
    address = path
    for field, value in fields.items():
        address = address.replace(field, value)
    return client.request(method, address, **options)


MAY = {"viewer": {"viewer", "controller"}, "controller": {"controller"}}


@pytest.mark.parametrize("who", ["nobody", "viewer", "controller"])
@pytest.mark.parametrize("route", CLOSED, ids=" ".join)
def test_every_role_at_every_route(browsers: dict[str, Client], who: str, route: tuple[str, str]) -> None:
    answer = ask(browsers[who], route)
    if who == "nobody":
        expected = 303 if route[0] == "GET" else 401
        assert answer.status_code == expected
        assert route[0] != "GET" or answer.headers["location"].startswith("/sign-in")
    elif who not in MAY[CLOSED[route]]:
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "role-refused")
    elif route[0] == "GET":
        assert answer.status_code in {200, 404, 503}
    else:  # let in, and then without the form of a page
        assert answer.json()["type"].rpartition(":")[2] in {"no-form", "form-refused"}


@pytest.mark.parametrize("route", [each for each in ROUTES if each[0] != "GET"], ids=" ".join)
@pytest.mark.parametrize("wrong", ["none", "another session's", "another site", "another origin"])
def test_a_change_needs_the_form_of_this_session_and_site(
    browsers: dict[str, Client], route: tuple[str, str], wrong: str
) -> None:
    client = browsers["controller"]
    right = form_token(client.get("/").text)
    headers = {
        "another site": {"sec-fetch-site": "cross-site"},
        "another origin": {"origin": "https://evil.example"},
    }
    token = {"none": "", "another session's": form_token(browsers["viewer"].get("/").text)}.get(wrong, right)
    answer = ask(client, route, data={"form": token, "of": "x"}, headers=headers.get(wrong, {}))
    assert answer.status_code == 403
    assert client.get("/").status_code == 200


def test_a_form_of_a_browser_is_taken(settings: ConsoleSettings) -> None:
    """Chromium sends these headers with a form of a page under `Referrer-Policy: no-referrer`."""
    with signed_in(settings) as client:
        token = form_token(client.get("/").text)
        headers = {"sec-fetch-site": "same-origin", "origin": "null"}
        assert client.post("/sign-out", data={"form": token}, headers=headers).status_code == 303


def test_only_the_way_in_and_what_machines_ask_is_open_to_anyone() -> None:
    """A page that says `anyone` on docs/access.md would pass the matrix above."""
    assert {path for (_, path), who in ROUTES.items() if who == "anyone"} == {
        *("/sign-in", "/sign-in/provider", "/sign-in/callback", "/sign-out", "/language/{code}"),
        *("/static/{name}", "/health", "/ready", "/metrics", "/openapi.json"),
    }


def test_the_route_by_which_one_approves_does_not_exist() -> None:
    assert not [path for _, path in ROUTES if "approve" in path or "merge" in path]


def test_keys_and_bearer_tokens_open_nothing(browsers: dict[str, Client]) -> None:
    for headers in ({"X-API-Key": "pp_0123456789abcdef"}, {"Authorization": "Bearer e30.e30.e30"}):
        assert browsers["nobody"].get("/", headers=headers).status_code == 303


def test_a_sign_in_leads_where_somebody_wanted(settings: ConsoleSettings) -> None:
    with answering(create(settings)) as client:
        wanted = client.get("/products?search=p").headers["location"]
        assert wanted == "/sign-in?after=%2Fproducts%3Fsearch%3Dp"
        assert sign_in(client, "viewer", "/products?search=p").headers["location"] == "/products?search=p"


@pytest.mark.parametrize(
    "odd", ["//evil.example", "/\\evil.example", "https://evil.example", "", "a", "/a\nb"]
)
def test_a_sign_in_leads_nowhere_else(odd: str) -> None:
    assert local_path(odd) == "/"
    assert local_path("/products?a=//b") == "/products?a=//b"


def test_wrong_passwords_and_names_are_refused_alike_and_soon_slowly(settings: ConsoleSettings) -> None:
    with answering(create(settings)) as client:
        page = client.get("/sign-in")
        token = form_token(page.text)
        answers = [
            client.post("/sign-in", data={"form": token, "name": name, "password": "wrong"})
            for name in (PEOPLE["viewer"], "nobody")
        ]
        assert [answer.status_code for answer in answers] == [403, 403]
        assert len({answer.text.replace(form_token(answer.text), "") for answer in answers}) == 1
        for _ in range(5):
            last = client.post("/sign-in", data={"form": token, "name": "nobody", "password": "wrong"})
        assert last.status_code == 429


def test_a_browser_is_refused_by_a_page_and_a_program_by_problem_details(browsers: dict[str, Client]) -> None:
    page = browsers["viewer"].get("/releases/roll-back", headers={"Accept": "text/html"})
    assert (page.status_code, "That is not allowed" in page.text) == (403, True)
    answer = browsers["viewer"].get("/releases/roll-back")
    assert answer.headers["content-type"] == "application/problem+json"


def test_signing_out_ends_the_session(settings: ConsoleSettings) -> None:
    with signed_in(settings) as client:
        answer = client.post("/sign-out", data={"form": form_token(client.get("/").text)})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert client.get("/").status_code == 303


def test_a_user_whose_line_goes_is_out_and_one_whose_role_goes_has_it_no_more(tmp_path: Path) -> None:
    promoted(tmp_path / "repository.git")
    settings = settings_in(tmp_path)
    with signed_in(settings, "controller") as client:
        assert client.get("/releases/roll-back").status_code == 200
        fields = json.loads(user(PEOPLE["controller"], "controller")[0].model_dump_json())
        users_file(tmp_path).write_text(json.dumps(fields | {"roles": ["viewer"]}))
        assert client.get("/releases/roll-back").status_code == 403
        assert client.get("/releases").status_code == 200
        users_file(tmp_path).write_text('{"name": "broken')
        assert client.get("/releases").status_code == 303


def forged(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {"name": "x", "roles": ["controller"], "by": "provider", "form": "f", "after": "/"}
    return claims | {"aud": "console/local", "exp": now + 60} | changes


@pytest.mark.parametrize(
    ("key", "claims", "algorithm"),
    [
        ("o" * 40, forged(), "HS256"),
        (KEY, forged(exp=int(time.time()) - 1), "HS256"),
        (KEY, forged(aud="console/production"), "HS256"),
        (KEY, {k: v for k, v in forged().items() if k != "exp"}, "HS256"),
        (KEY, forged(roles=["owner"]), "HS256"),
        (KEY + "k" * 24, forged(), "HS512"),
        ("", forged(), "none"),
        (KEY, forged(by="password"), "HS256"),
    ],
    ids=["key", "ended", "environment", "endless", "role", "algorithm", "unsigned", "no such user"],
)
def test_a_cookie_that_was_not_written_here_opens_nothing(
    browsers: dict[str, Client], key: str, claims: dict[str, Any], algorithm: str
) -> None:
    cookie = {"Cookie": f"console={jwt.encode(claims, key, algorithm)}"}
    assert browsers["nobody"].get("/", headers=cookie).status_code == 303


def test_a_cookie_of_the_key_opens_the_pages(browsers: dict[str, Client]) -> None:
    """The control of the test above."""
    cookie = {"Cookie": f"console={jwt.encode(forged(), KEY, 'HS256')}"}
    assert browsers["nobody"].get("/releases/roll-back", headers=cookie).status_code == 200


def test_outside_of_a_laptop_cookies_go_over_https_alone(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, environment="production")
    with answering(create(settings)) as client:
        cookie = client.get("/sign-in").headers["set-cookie"]
    assert cookie.startswith("__Host-console=")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}


def test_a_session_is_none_in_another_environment() -> None:
    here = Sessions(KEY, "staging", secure=False, seconds=60)
    there = Sessions(KEY, "production", secure=False, seconds=60)
    claims = forged(aud="console/staging")
    scope = {"headers": [(b"cookie", f"console={jwt.encode(claims, KEY, 'HS256')}".encode())]}
    assert (here.read(scope) is None, there.read(scope)) == (False, None)


def test_without_users_and_provider_every_page_is_closed(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, users_file=None)
    with answering(create(settings)) as client:
        assert {ask(client, route).status_code for route in CLOSED if route[0] == "GET"} == {303}
        page = client.get("/sign-in")
        assert "Nobody can sign in" in page.text
        answer = client.post(
            "/sign-in", data={"form": form_token(client.get("/sign-in").text + 'name="form" value="x"')}
        )
        assert answer.status_code in {403, 429}


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": "staging", "session_key": None},
        {"session_key": "short"},
        {"oidc_issuer": "https://login.example.com"},
        {"oidc_issuer": "https://login.example.com", "oidc_client_id": "console"},
        {"oidc_issuer": "http://login.example.com"},
    ],
)
def test_half_of_the_settings_is_not_enough(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings_in(tmp_path, **changes)


def test_a_password_is_kept_as_a_hash_that_nobody_can_take_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    from apps.console.new_user import main  # noqa: PLC0415

    assert main(["--name", "ada", "--role", "controller"]) == 0
    said = json.loads(capsys.readouterr().out)
    line = users.User.model_validate_json(said["line"])
    assert said["password"] not in said["line"]
    assert users.HASHER.verify(line.password, said["password"])
    assert line.roles == frozenset({Role.controller})
    assert main(["--name", "a b"]) == 1


def test_nothing_secret_is_in_log_or_page(
    settings: ConsoleSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with signed_in(settings, "controller") as client:
        text = client.get("/").text
    written = text + "".join(
        str(record.__dict__) for record in caplog.records if record.name.startswith("apps")
    )
    assert user(PEOPLE["controller"], "controller")[1] not in written
    assert "argon2" not in written
    assert KEY not in written


def test_a_part_of_a_page_without_a_session_sends_the_whole_page_to_the_sign_in(
    browsers: dict[str, Client],
) -> None:
    answer = browsers["nobody"].get("/products?search=a", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/sign-in?after=%2Fproducts%3Fsearch%3Da"
