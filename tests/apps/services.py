"""Every service with keys and an identity provider, and who may call what by docs/access.md."""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from apps.collector.main import create as create_collector
from apps.collector.settings import CollectorSettings
from apps.console.main import create as create_console
from apps.console.settings import ConsoleSettings
from apps.decision.main import create as create_decision
from apps.decision.settings import DecisionSettings
from apps.forecast.main import create as create_forecast
from apps.oncall.main import create as create_oncall
from tests.apps import credentials
from tests.apps.client import Client, answering
from tests.apps.credentials import ENVIRONMENT, Shown
from tests.apps.forecast.store import Shop
from tests.apps.identity_provider import AUDIENCE, provider
from tests.apps.oncall import world as oncall
from tests.repository.imports import ROOT

ROW = re.compile(r"^\| (collector|forecast|decision|console|oncall) \| (`.+`) \| (\w+) \|$", re.MULTILINE)
PLENTY = 1e6
ENOUGH_FOR_AN_OPEN_ROUTE = {"none", "viewer", "unknown key", "token expired", "no token"}
NO_BODY = b'{"'
SERVICES = ("collector", "forecast", "decision", "console", "oncall")
TAKING_KEYS = tuple(each for each in SERVICES if each != "console")
"""The console takes sessions alone: `tests/apps/console/test_sign_in.py` has its matrix."""

Route = tuple[str, str, str]


def table() -> dict[Route, str]:
    """The page: who may call, by service, method and path."""
    rows = ROW.findall((ROOT / "docs" / "access.md").read_text())
    return {
        (service, *route): who
        for service, routes, who in rows
        for route in re.findall(r"`([A-Z]+) ([^`]+)`", routes)
    }


@dataclass
class Services:
    """Every service, and what may be shown to it."""

    apps: dict[str, FastAPI]
    clients: dict[str, Client]
    shown: dict[str, Shown]

    def ask(self, route: Route, shown: Shown) -> httpx.Response:
        """A request to the route, with a body that none could read."""
        service, method, path = route
        headers = {**shown.headers, "Content-Type": "application/json"}
        address = re.sub(r"{[^}]+}", "P0004", path)
        return self.clients[service].request(method, address, headers=headers, content=NO_BODY)

    def wrong(self, routes: Iterable[Route]) -> list[str]:
        """What is not as the page says."""
        return [
            f"{' '.join(route)}, {name}: {status}, expected {expected}"
            for route in routes
            for name, shown in self.shown.items()
            if table()[route] != "anyone" or name in ENOUGH_FOR_AN_OPEN_ROUTE
            if (status := self.ask(route, shown).status_code)
            if (expected := refusal(table()[route], shown)) != (status if status in {401, 403} else None)
        ]

    def let_in(self, route: Route) -> set[str]:
        """What opens the route."""
        return {
            name for name, shown in self.shown.items() if self.ask(route, shown).status_code not in {401, 403}
        }


def refusal(who: str, shown: Shown) -> int | None:
    """How somebody who shows this is refused where `who` may call; None where not at all."""
    if who == "anyone" or who in shown.satisfies:
        return None
    if who == "sender" and "X-API-Key" not in shown.headers:
        return 401  # a collector takes no tokens
    if who == "alertmanager":
        return 401  # it has a token of its own
    return shown.status


def answered_by(app: FastAPI) -> set[tuple[str, str]]:
    """(method, path) of all that an application answers; HEAD goes with GET."""
    return {
        (method, route.path)
        for route in flat(app.routes)
        if hasattr(route, "methods")
        for method in route.methods - {"HEAD"}
    }


def flat(routes: Iterable[Any]) -> Iterator[Any]:
    """Routes, and those of included routers."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        yield from [route] if inner is None else flat(inner.routes)


@contextmanager
def services_of(shop: Shop, folder: Path) -> Iterator[Services]:
    """Running services; `folder` is for their files."""
    file = credentials.key_file(folder)
    with provider() as idp:
        both: dict[str, Any] = {
            "environment": ENVIRONMENT,
            "keys_file": file,
            "oidc_issuer": idp.url,
            "oidc_audience": AUDIENCE,
            "rate_per_second": PLENTY,
        }
        apps = {
            "collector": create_collector(
                CollectorSettings(
                    environment=ENVIRONMENT,
                    inbox=folder / "inbox.sqlite",
                    keys_file=file,
                    pseudonym_key=SecretStr("p" * 32),
                )
            ),
            "forecast": create_forecast(shop.settings(**both)),
            "decision": create_decision(DecisionSettings(forecast_url="http://127.0.0.1:9", **both)),
            "console": create_console(
                ConsoleSettings(
                    repository=folder,
                    public_url="http://127.0.0.1:8003",
                    oidc_issuer=idp.url,
                    oidc_client_id="console",
                )
            ),
            "oncall": create_oncall(oncall.settings(folder, **both)),
        }
        shown = credentials.keys() | credentials.tokens(idp)
        with ExitStack() as stack:
            clients = {name: stack.enter_context(answering(app)) for name, app in apps.items()}
            yield Services(apps, clients, shown)
