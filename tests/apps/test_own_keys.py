"""Services that ask others show keys of their own, and say what is wrong without them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from apps.console.settings import ConsoleSettings
from apps.decision.main import create as create_decision
from apps.decision.settings import DecisionSettings
from tests.apps.client import answering
from tests.apps.console.signed_in import signed_in, users_file
from tests.apps.credentials import ENVIRONMENT, stored
from tests.apps.forecast.store import Shop
from tests.apps.process import listener, running

KEY = "the-viewer-key-of-a-service"


@pytest.fixture(scope="module")
def forecast_url(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A forecast service that asks who is there."""
    file: Path = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    file.write_text(json.dumps(stored(KEY, "viewer")))
    variables = {"FORECAST_ENVIRONMENT": ENVIRONMENT, "FORECAST_KEYS_FILE": str(file)}
    with listener() as bound, running("apps.forecast", shop.variables() | variables, bound) as process:
        yield process.url


@pytest.mark.parametrize(("key", "status"), [(SecretStr(KEY), 200), (None, 503)])
def test_a_decision_is_made_with_the_key_of_its_service(
    forecast_url: str, key: SecretStr | None, status: int
) -> None:
    settings = DecisionSettings(forecast_url=forecast_url, forecast_key=key)
    with answering(create_decision(settings)) as client:
        answer = client.get("/decision/P0004")
        assert answer.status_code == status, answer.text
        assert ("the forecast service answered 401" in answer.text) == (key is None)
        portfolio = client.post("/decision/portfolio", json={"budget_cents": 100_000})
        assert portfolio.status_code == status


@pytest.mark.parametrize("key", [SecretStr(KEY), None])
def test_a_page_is_made_with_the_key_of_the_console(
    forecast_url: str, tmp_path: Path, key: SecretStr | None
) -> None:
    settings = ConsoleSettings(
        repository=tmp_path,
        forecast_url=forecast_url,
        decision_url="http://127.0.0.1:9",
        api_key=key,
        users_file=users_file(tmp_path),
    )
    with signed_in(settings) as client:
        page = client.get("/products").text
        assert ("P0004" in page) == (key is not None)
        assert ("the X-API-Key header is missing or wrong" in page) == (key is None)
