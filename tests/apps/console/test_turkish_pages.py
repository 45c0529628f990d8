"""On a Turkish page nothing is English but what a person or another program wrote."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml.data_gate.check import WORST_FIRST
from ml.model_store import DRIFT, QUALITY, ModelStore
from scripts.evidence import gates
from tests.apps.client import Client
from tests.apps.console.repository import evidence, promoted, release
from tests.apps.console.said import english
from tests.apps.console.signed_in import signed_in
from tests.apps.console.test_console import settings
from tests.apps.forecast.store import VERSION, Shop
from tests.apps.process import listener, running
from tests.ml.data_gate import steady_shop as shop_of_events
from tests.ml.data_gate.test_checks import GOOD, judged
from tests.scripts.test_gates import PRODUCTION, for_production
from tests.system.console_rig import AT, DRIFT_REPORT

PAGES = (
    *("/", "/products", "/products/P0003", "/products/NOPE", "/products/P0003?price=2&cost=3", "/portfolio"),
    *(
        "/data",
        "/drift",
        "/models",
        "/releases",
        "/releases/promote",
        "/releases/roll-back",
        "/alarms",
        f"/releases/commits/{'0' * 40}",
    ),
)
TURKISH = {"Accept-Language": "tr-TR,tr;q=0.9", "Accept": "text/html"}


def quality_report() -> dict[str, Any]:
    """Of data in which prices jumped and a source fell silent."""
    checks = {**judged(GOOD), **judged(shop_of_events.prices_in_cents_of_cents(GOOD, shop_of_events.ZONE))}
    checks["silent"] = judged(shop_of_events.source_silent(GOOD, shop_of_events.ZONE))["silent"]
    found = sorted(
        (check.to_json() for check in checks.values()), key=lambda each: WORST_FIRST.index(each["verdict"])
    )
    head = {"verdict": "fail", "data_version": "2025-12.0123456789ab", "created_at": AT, "as_of": AT}
    return {**head, "checks": found, "history": [{"verdict": "warn", "data_version": None, "created_at": AT}]}


def drift_report(why: str = "views (location +1.20) changed") -> dict[str, Any]:
    report = json.loads(json.dumps(DRIFT_REPORT)) | {"picture": "drawing took longer than 600 s"}
    report["report"]["reason"] = "shop:units is +80% off its usual value in 2025-12 (p = 0.01 over all tests)"
    report["report"]["parts"]["inputs"]["reason"] = why
    report["report"]["parts"]["residuals"]["reason"] = "errors grew (+0.31)"
    return dict(report)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Path:
    """The shop's store with a report of either kind."""
    root = tmp_path_factory.mktemp("reported") / "store"
    shutil.copytree(shop.root, root)
    ModelStore(root).put_report(QUALITY, json.dumps(quality_report()).encode())
    ModelStore(root).put_report(DRIFT, json.dumps(drift_report()).encode())
    return root


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, shop: Shop, store: Path, decision_url: str
) -> Iterator[Client]:
    """A console over that shop, whose live model passed every gate of production."""
    forge = promoted(tmp_path_factory.mktemp("turkish") / "repository.git")
    runs = release(VERSION) | {"model_sha256": shop.model_sha256}
    saw = [gate.model_dump() for gate in gates.of(for_production(), PRODUCTION)]
    forge.release("local: model 3", runs, {f"evidence/{VERSION}-9c0d7e2.json": evidence("mix", gates=saw)})
    variables = shop.variables() | {"FORECAST_MODEL_STORE": str(store)}
    with listener() as bound, running("apps.forecast", variables, bound) as process:
        urls = {"forecast_url": process.url, "decision_url": decision_url}
        with signed_in(settings(forge.path, **urls), "controller") as client:
            yield client


@pytest.mark.parametrize("path", PAGES)
def test_nothing_of_a_service_is_left_in_english(client: Client, path: str) -> None:
    text = client.get(path, headers=TURKISH).text
    assert '<html lang="tr">' in text
    assert english(text) == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "/data",
            "her zamankinin üzerinde, olayların %100 kadarı ürününün fiyatından çok uzak bir fiyat taşıyor",
        ),
        ("/data", "fiyat sıçramaları"),
        ("/drift", "değişen: views (konum +1,20)"),
        ("/drift", '<td class="number">0,002</td>'),
        ("/drift", "çizilmedi: çizim 600 sn&#39;den uzun sürdü"),
        ("/models", "<b>kayma</b> kayma yok"),
        ("/models", "60 dakika, 2 poddan 480 gözlem, aralarında en çok 15 sn"),
        ("/products/NOPE", "&#39;NOPE&#39; ürününün tahmini yok"),
        ("/products/P0003?price=2&cost=3", "fiyat (200 kuruş) maliyetin (300 kuruş) üzerinde değil"),
        ("/alarms", "oncall hizmeti http://127.0.0.1:8004 adresinde yanıt vermiyor"),
    ],
)
def test_what_a_service_says_is_said_in_turkish(client: Client, path: str, said: str) -> None:
    assert said in client.get(path, headers=TURKISH).text


def test_a_sentence_that_is_in_no_table_is_seen(client: Client, store: Path) -> None:
    """The control of the test of all pages."""
    why = "a sentence of a later release"
    ModelStore(store).put_report(DRIFT, json.dumps(drift_report(why)).encode())
    try:
        found: list[str] = []
        while not found:  # the service reads a report again after a while
            found = english(client.get("/drift", headers=TURKISH).text)
        assert found == [why]
        assert f"<p>{why}</p>" in client.get("/drift", headers={"Accept-Language": "en"}).text
    finally:
        ModelStore(store).put_report(DRIFT, json.dumps(drift_report()).encode())
        while english(client.get("/drift", headers=TURKISH).text):
            pass
