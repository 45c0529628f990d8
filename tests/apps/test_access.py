"""Every route of every service lets in whom docs/access.md says, and nobody else."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import SecretStr

from apps.chassis import guard, tokens
from apps.chassis.access import ANYONE
from apps.chassis.keys import KeyRing, Role
from apps.decision.settings import DecisionSettings
from apps.forecast.main import create as create_forecast
from tests.apps.client import answering
from tests.apps.credentials import ANOTHER
from tests.apps.forecast.store import Shop
from tests.apps.services import SERVICES, TAKING_KEYS, Services, answered_by, services_of, table

READ = ("forecast", "GET", "/forecast/{product_id:path}")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Iterator[Services]:
    with services_of(shop, tmp_path_factory.mktemp("access")) as running:
        yield running


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_is_on_the_page(services: Services, service: str) -> None:
    """A route without a row fails, and a row without a route."""
    listed = {route[1:] for route in table() if route[0] == service}
    assert answered_by(services.apps[service]) == listed


def test_a_route_that_is_not_on_the_page_is_seen(services: Services) -> None:
    """The control of the test above."""
    before = answered_by(services.apps["console"])
    router = APIRouter(dependencies=[ANYONE])
    router.add_api_route("/forgotten", lambda: None)
    other = FastAPI()
    other.include_router(router)
    assert ("GET", "/forgotten") in answered_by(other) - before


@pytest.mark.parametrize("service", TAKING_KEYS)
def test_every_route_lets_in_whom_the_page_says(services: Services, service: str) -> None:
    assert len(services.shown) >= 40
    assert services.wrong(route for route in table() if route[0] == service) == []


def test_some_are_let_in_and_most_are_not(services: Services) -> None:
    """The control of the test above: it asks what can be answered."""
    right = {"viewer", "controller", "token of a viewer", "token of a controller", "token on a curve"}
    assert services.let_in(READ) == right
    assert services.ask(READ, services.shown["viewer"]).status_code == 200


def decoding(monkeypatch: pytest.MonkeyPatch, **options: object) -> None:
    """Take one check away from those that a token goes through."""
    whole = jwt.decode

    def weaker(token: str, key: Any, **given: Any) -> Any:
        return whole(token, key, **given | {"options": {**given["options"], **options}})

    monkeypatch.setattr(jwt, "decode", weaker)


def another_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    original = KeyRing.find

    def find(ring: KeyRing, offered: str) -> Any:
        key = original(ring, offered)
        return key and key.model_copy(update={"environment": ring.environment})

    monkeypatch.setattr(KeyRing, "find", find)


def times_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    original = KeyRing.find

    def find(ring: KeyRing, offered: str) -> Any:
        key = original(ring, offered)
        return key and key.model_copy(update={"not_before": None, "not_after": None})

    monkeypatch.setattr(KeyRing, "find", find)


def roles_of_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "said_in", lambda *_: ["viewer"])


def any_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "ROLES", {str(role): Role.viewer for role in Role})


def forget_checked(services: Services) -> None:
    services.apps["forecast"].state.guard.tokens._kept.clear()


WEAKER: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], set[str]]] = {
    "audience": (
        lambda patch: decoding(patch, verify_aud=False),
        {"token for a wrong audience", "token for another environment"},
    ),
    "issuer": (lambda patch: decoding(patch, verify_iss=False), {"token of a wrong issuer"}),
    "expiry": (lambda patch: decoding(patch, verify_exp=False), {"token expired"}),
    "begin": (lambda patch: decoding(patch, verify_nbf=False), {"token not yet valid"}),
    "issue": (lambda patch: decoding(patch, verify_iat=False), {"token made in the future"}),
    "subject": (lambda patch: decoding(patch, require=["exp", "iss", "aud"]), {"token of nobody"}),
    "signature": (
        lambda patch: decoding(patch, verify_signature=False, verify_exp=True, verify_aud=True),
        {"token signed by somebody else", "token with other claims", "token without a signature"},
    ),
    "roles": (roles_of_tokens, {"token without a role", "token of another role"}),
    "role names": (any_role, {"token of another role"}),
    "environment of keys": (another_environment, {"other environment"}),
    "times of keys": (times_of_keys, {"expired", "not yet valid"}),
}


@pytest.mark.parametrize("check", WEAKER)
def test_each_check_is_what_keeps_somebody_out(
    services: Services, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    """Without it the list above would find who comes in."""
    weaken, comes_in = WEAKER[check]
    before = services.let_in(READ)
    forget_checked(services)
    with monkeypatch.context() as patch:
        weaken(patch)
        assert comes_in <= services.let_in(READ) - before
    forget_checked(services)
    assert services.let_in(READ) == before


def test_a_rule_that_lets_everybody_pass_is_found(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def admit(*_: object) -> None:
        """As a guard that forgot to look."""

    monkeypatch.setattr(guard.Guard, "admit", admit)
    keyed = {route: who for route, who in table().items() if route[0] in TAKING_KEYS}
    routes = [route for route, who in keyed.items() if who in {"viewer", "controller"}]
    assert {wrong.partition(",")[0] for wrong in services.wrong(routes)} == {
        " ".join(route) for route in routes
    }


def test_a_refusal_names_how_to_come_in_and_nothing_that_was_shown(services: Services) -> None:
    for name, shown in services.shown.items():
        answer = services.ask(READ, shown)
        secrets = [value.rpartition(" ")[2] for value in shown.headers.values() if len(value) > 8]
        assert not [secret for secret in secrets if secret in answer.text], name
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"].startswith(("APIKey", "Bearer"))
        if answer.status_code in {401, 403}:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"]


def test_a_service_with_neither_keys_nor_provider_is_open_to_readers_and_says_so(
    shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        logging.getLogger("apps.chassis.guard"), "disabled", False
    )  # as a library may leave it
    caplog.set_level(logging.WARNING)
    app = create_forecast(shop.settings())
    assert "open_to_readers" in caplog.messages
    with answering(app) as client:
        assert client.get("/forecast/P0004").status_code == 200
        assert client.get("/categories").status_code == 200
        assert client.post("/reload").status_code == 401


@pytest.mark.parametrize("setting", [{}, {"rate_store": SecretStr("redis://127.0.0.1:9")}])
def test_a_service_outside_of_a_laptop_is_never_open(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="outside of a laptop set a keys_file"):
        DecisionSettings(environment=ANOTHER, **setting)


def test_a_provider_without_an_audience_is_refused() -> None:
    with pytest.raises(ValueError, match="come together"):
        DecisionSettings(oidc_issuer="https://idp.example")
