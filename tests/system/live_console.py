"""The console with everything that it asks, and a tab of a real Chromium in which a controller has signed in."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from ml.model_store import EVALUATION, ModelStore
from scripts.release_file import Release, edit
from tests.apps.console.outage import around, world
from tests.apps.console.repository import Forge, evidence, release
from tests.apps.console.signed_in import PEOPLE, user, users_file
from tests.apps.forecast.store import VERSION, stored_shop
from tests.apps.oncall.test_routes import BEARER
from tests.apps.oncall.world import KEY, TOKEN, alert, group
from tests.apps.oncall.world import settings as oncall_settings
from tests.apps.process import listener, running
from tests.scripts.world import APPROVED, RELEASE
from tests.system.browser import Browser, Page, until

TAKEN = {
    "accepted": 1_204_113,
    "refused": 311,
    "reasons": {"bad_quantity": 302, "unknown_currency": 9},
    "set_aside": {"cancelled": 1_204},
    "gate": {"verdict": "pass", "override": None},
}
TEXT = "document.body?.innerText ?? ''"


@dataclass(frozen=True)
class Shown:
    """A tab in which a controller has signed in, and where the forge is."""

    page: Page
    url: str
    forge: Path


def released(folder: Path, sha256: str) -> tuple[Forge, str]:
    """Two releases of a model that is in the store; the newer one is live."""
    forge, head = Forge(folder / "forge.git"), ""
    for version in (VERSION - 1, VERSION):
        values = Release.model_validate(release(version) | {"model_sha256": sha256})
        files = {"release.yaml": edit(RELEASE, values).decode(), "promotion.yaml": APPROVED.decode()}
        files[f"evidence/{values.name}.json"] = json.dumps(evidence("mix", data_quality=TAKEN))
        head = forge.commit(f"local: model {version}, image {values.image_tag}", files)
    return forge, head


@contextmanager
def live_console(
    folder: Path, browser: Browser, reports: Mapping[str, Any] | None = None, **changes: object
) -> Iterator[Shown]:
    """Services, on-call service and forge are real; `reports` are put into the store, `changes` are settings."""
    shop = stored_shop(folder / "shop")
    shop.write_snapshot()
    forge, head = released(folder, shop.model_sha256)
    told = around("local", head, release(VERSION) | {"model_sha256": shop.model_sha256})
    with ExitStack() as stack:

        def start(module: str, variables: dict[str, str]) -> int:
            return stack.enter_context(running(module, variables, stack.enter_context(listener()))).port

        ports = {"forecast": start("apps.forecast", shop.variables())}
        ports["decision"] = start(
            "apps.decision", {"DECISION_FORECAST_URL": f"http://127.0.0.1:{ports['forecast']}"}
        )
        port = start("apps.oncall", _oncall(folder / "oncall"))
        oncall = f"http://127.0.0.1:{port}"
        for sent in (group(), group(alert("f2"), key="g2")):
            httpx.post(f"{oncall}/alerts/page", json=sent, headers=BEARER).raise_for_status()
        made = stack.enter_context(world(folder, ports, told))
        ModelStore(shop.root).put_report(EVALUATION, ModelStore(folder / "store").report(EVALUATION) or b"")
        for name, report in (reports or {}).items():
            ModelStore(shop.root).put_report(name, json.dumps(report).encode())
        given = {
            **made.settings,
            "model_store": shop.root,
            "repository": forge.path,
            "forge": forge.path,
            "users_file": users_file(folder),
            "timeout_seconds": 5,
            "page_seconds": 2,
            "oncall_url": oncall,
            "oncall_key": KEY,
            **changes,
        }
        port = start("apps.console", {f"CONSOLE_{name.upper()}": str(value) for name, value in given.items()})
        url = f"http://127.0.0.1:{port}"
        page = browser.open(f"{url}/sign-in")
        fields = {"name": PEOPLE["controller"], "password": user(PEOPLE["controller"], "controller")[1]}
        for name, value in fields.items():
            page.run(f"document.querySelector('input[name={name}]').value = '{value}'")
        page.run("document.querySelector('main form').requestSubmit()")
        until(lambda: "What runs is what Git says" in page.run(TEXT))
        yield Shown(page, url, forge.path)


def _oncall(folder: Path) -> dict[str, str]:
    folder.mkdir()
    given = oncall_settings(folder)
    values = {"rota": given.rota, "database": given.database, "alert_token": TOKEN, "api_key": KEY}
    values |= {"smtp_host": "127.0.0.1", "smtp_port": "9", "mail_from": given.mail_from}
    return {f"ONCALL_{name.upper()}": str(value) for name, value in values.items()}


def seen(page: Page, width: int, scheme: str) -> None:
    """Look from a screen of this width."""
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
    )
