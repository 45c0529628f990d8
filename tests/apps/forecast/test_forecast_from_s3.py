"""The forecast service with its model in S3: the same answers, and a store that fails does not end it."""

import time
from collections.abc import Iterator

import httpx
import pytest

from apps.forecast.main import create
from apps.forecast.settings import ForecastSettings
from tests.apps.client import Client, answering
from tests.apps.forecast.store import KEY, Shop
from tests.apps.process import listener, running
from tests.s3 import BUCKET, KEYS, S3, s3_server, saying


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def copied(s3: S3, shop: Shop) -> S3:
    """The server with the shop's store in it."""
    s3.empty()
    for path in shop.root.rglob("*"):
        if path.is_file():
            s3.replace(f"production/{path.relative_to(shop.root)}", path.read_bytes())
    return s3


def variables(shop: Shop, s3: S3) -> dict[str, str]:
    return {**shop.variables(), **s3.variables, "FORECAST_MODEL_STORE": f"s3://{BUCKET}/production"}


@pytest.fixture
def settings(shop: Shop, copied: S3, monkeypatch: pytest.MonkeyPatch) -> ForecastSettings:
    """Of a service in this process, whose store is the bucket."""
    for name, value in copied.variables.items():
        monkeypatch.setenv(name, value)
    return shop.settings(model_store=f"s3://{BUCKET}/production")


def until_ready(client: Client) -> None:
    deadline = time.monotonic() + 20
    while client.get("/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_answers_are_those_of_the_folder(shop: Shop, copied: S3, forecast_url: str) -> None:
    with listener() as bound, running("apps.forecast", variables(shop, copied), bound) as process:
        assert process.readiness["ready"], process.readiness
        for path in ("/forecast", "/forecast/P0001", "/categories"):
            there, here = httpx.get(forecast_url + path), httpx.get(process.url + path)
            assert (here.status_code, here.content) == (there.status_code, there.content)
    assert [request for request in copied.requests if not request.startswith("GET ")] == []
    assert sum("/reports/" not in request for request in copied.requests) == 3


def test_a_store_that_goes_away_leaves_the_served_model_in_place(
    settings: ForecastSettings, copied: S3
) -> None:
    with answering(create(settings)) as client:
        before = client.get("/forecast/P0001").content
        copied.misbehave = saying("503 Slow Down")
        refused = client.post("/reload", headers={"X-API-Key": KEY})
        assert (refused.status_code, "503" in refused.json()["detail"]) == (503, True)
        assert client.get("/forecast/P0001").content == before
        assert client.get("/ready").status_code == 200


def test_without_its_store_the_service_lives_and_is_ready_once_the_store_is_there(
    settings: ForecastSettings, copied: S3
) -> None:
    copied.misbehave = saying("503 Slow Down")
    with answering(create(settings)) as client:
        assert client.get("/health").status_code == 200
        said = client.get("/ready")
        assert (said.status_code, f"s3://{BUCKET}/production" in said.text) == (503, True)
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in said.text
        copied.misbehave = None
        until_ready(client)


def test_a_flipped_byte_in_s3_is_never_served(settings: ForecastSettings, shop: Shop, copied: S3) -> None:
    name = f"production/bundles/{shop.model_sha256}.tar"
    whole = copied.objects()[name]
    copied.replace(name, whole[:-1] + bytes([whole[-1] ^ 1]))
    with answering(create(settings)) as client:
        assert "file was changed" in client.get("/ready").text
        copied.replace(name, whole)
        until_ready(client)
