"""From an HTTP event to a served forecast that knows it: every step its own process, training included, in minutes."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from tests.apps.process import listener, running

pytestmark = pytest.mark.system

KEY = "k" * 16
LAST_DAY = datetime(2026, 5, 31, tzinfo=UTC)
LONGEST_SECONDS = 180.0
SOLD_DAYS, SOLD_A_DAY = 50, 6


def ml(state: Path, verb: str, *options: str) -> dict[str, Any]:
    """What `python -m ml` answers; a gate that has nothing to compare with may say no."""
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(state),
        "ML_STATE": str(state),
        "ML_PSEUDONYM_KEY": "p" * 32,
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "ml", verb, *options]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert "error" not in told, told
    return told


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a shop whose history is in the lake."""
    state = tmp_path_factory.mktemp("shop") / "state"
    source = state / "source"
    size = ("--products", "8", "--months", "10", "--end", f"{LAST_DAY:%Y-%m-%d}")
    ml(state, "synthesize", "--out", str(source), *size)
    ml(state, "ingest", "--events", str(source))
    return state


def sold(state: Path) -> tuple[str, list[dict[str, Any]]]:
    """The product that was bought last, and purchases of it on each of the last weeks' days, one unit each."""
    purchases = pl.scan_parquet(state / "source" / "*.parquet").filter(pl.col("event_type") == "purchase")
    like = purchases.sort("occurred_at").last().collect().row(0, named=True)
    moments = [
        LAST_DAY - timedelta(days=day, hours=-8 - number)
        for day in range(SOLD_DAYS)
        for number in range(SOLD_A_DAY)
    ]
    usual = {name: like[name] for name in ("product_id", "category", "unit_price_cents", "currency")}
    return like["product_id"], [
        usual
        | {
            "event_id": f"extra-{number}",
            "event_type": "purchase",
            "occurred_at": moment.isoformat(),
            "quantity": 1,
            "order_id": f"extra-{number}",
            "customer_id": f"extra-{number}",
        }
        for number, moment in enumerate(moments)
    ]


def collected(state: Path, events: list[dict[str, Any]]) -> None:
    """Post the events to a collector, which acknowledges all."""
    variables = {
        "COLLECTOR_INBOX": str(state / "inbox.sqlite"),
        "COLLECTOR_API_KEY": KEY,
        "COLLECTOR_PSEUDONYM_KEY": "p" * 32,
    }
    with listener() as bound, running("apps.collector", variables, bound) as process:
        for event in events[:1]:
            assert post(process.url, event) == 202
        if events:
            assert post(process.url, events[1:]) == 202


def post(url: str, body: object) -> int:
    return httpx.post(f"{url}/events", json=body, headers={"X-API-Key": KEY}, timeout=30).status_code


def served(state: Path, released: Mapping[str, Any], product: str) -> dict[str, Any]:
    """What the forecast service answers for a product."""
    variables = {
        "FORECAST_MODEL_VERSION": str(released["version"]),
        "FORECAST_MODEL_SHA256": released["sha256"],
        "FORECAST_IMAGE_TAG": "9c0d7e2",
        "FORECAST_MODEL_STORE": str(state / "models"),
        "FORECAST_API_KEY": KEY,
    }
    with listener() as bound, running("apps.forecast", variables, bound) as process:
        answer = httpx.get(f"{process.url}/forecast/{product}", timeout=30)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def forecast_after(state: Path, product: str, events: list[dict[str, Any]]) -> tuple[dict[str, Any], float]:
    """The served forecast of the product once these events went the whole way, and the seconds that took."""
    started = time.monotonic()
    collected(state, events)
    assert ml(state, "ingest")["accepted"] == len(events)
    ml(state, "panel")
    assert ml(state, "quality", "--as-of", "newest")["verdict"] != "fail"
    released = ml(state, "train")
    ml(state, "forecast", "--model", str(released["version"]))
    return served(state, released, product), time.monotonic() - started


def test_an_event_is_in_the_served_forecast_within_three_minutes(shop: Path, tmp_path: Path) -> None:
    """The same shop without the events is the control: its forecast stays where the product was."""
    product, events = sold(shop)
    answers = []
    for name, sent in (("without", []), ("with", events)):
        state = shutil.copytree(shop, tmp_path / name)
        answer, seconds = forecast_after(state, product, sent)
        assert seconds <= LONGEST_SECONDS
        answers.append(answer)
    without, moved = answers
    usual = without["mean"] - without["demand_delta"]["units"]
    assert without["data_version"] != moved["data_version"]
    assert without["mean"] < 2 * usual + 10
    assert moved["mean"] > without["mean"] + SOLD_A_DAY * 10
