"""The decision service decides from another service's forecasts, and says so when it cannot."""

import dataclasses
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from apps.decision.main import create
from apps.decision.schemas import Decision, Numbers
from apps.decision.settings import DecisionSettings
from ml.decisions import Defaults, Economics, decide
from tests.apps.client import Client, answering
from tests.apps.process import listener, running

PRODUCT = "P0004"


@pytest.fixture(scope="module")
def client(forecast_url: str) -> Iterator[Client]:
    with answering(create(DecisionSettings(forecast_url=forecast_url))) as client:
        yield client


@pytest.fixture(scope="module")
def forecast(forecast_url: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{forecast_url}/forecast/{PRODUCT}").json()
    return answer


@contextmanager
def forecast_service(behaviour: str) -> Iterator[str]:
    """A peer that takes connections and then does what its name says."""
    answers = {
        "hangs": None,
        "resets": b"",
        "breaks": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        "talks nonsense": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "is not ready": b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
    }
    with socket.create_server(("127.0.0.1", 0)) as bound:

        def serve() -> None:
            held = []
            while True:
                try:
                    connection, _ = bound.accept()
                except OSError:
                    break
                if (answer := answers[behaviour]) is None:
                    held.append(connection)
                    continue
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)
            for connection in held:
                connection.close()

        thread = Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            bound.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_product_is_decided_by_defaults_that_are_marked(client: Client, forecast: dict[str, Any]) -> None:
    answer = client.get(f"/decision/{PRODUCT.lower()}")
    assert answer.status_code == 200
    assert answer.json() == json.loads(json.dumps(decide(forecast, {})))
    assert all(number["default"] for number in answer.json()["inputs"].values())
    assert Decision.model_validate_json(answer.content).model_sha256 == forecast["model_sha256"]


def test_given_numbers_are_used_and_marked(client: Client, forecast: dict[str, Any]) -> None:
    numbers = {"cost_cents": 50, "on_hand_units": 3}
    answer = client.post("/decision", json={"product_id": PRODUCT, "economics": numbers}).json()
    assert answer == json.loads(json.dumps(decide(forecast, numbers)))
    assert answer["inputs"]["cost_cents"] == {"value": 50, "default": False}
    assert answer["inputs"]["price_cents"]["default"] is True


def test_a_sent_forecast_needs_no_forecast_service(forecast: dict[str, Any]) -> None:
    with answering(create(DecisionSettings(forecast_url="http://127.0.0.1:9"))) as client:
        answer = client.post("/decision", json={"forecast": forecast})
    assert answer.json() == json.loads(json.dumps(decide(forecast, {})))


def test_the_shop_can_have_other_defaults(
    forecast_url: str, forecast: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECISION_DEFAULTS__COST_SHARE_OF_PRICE", "0.3")
    settings = DecisionSettings(forecast_url=forecast_url)
    assert settings.defaults == Defaults(cost_share_of_price=0.3)
    with answering(create(settings)) as client:
        answer = client.get(f"/decision/{PRODUCT}").json()
    assert answer["inputs"]["cost_cents"] == {"value": int(forecast["price_cents"] * 0.3), "default": True}


def test_every_number_of_a_planner_can_be_sent() -> None:
    assert set(Numbers.model_fields) == {field.name for field in dataclasses.fields(Economics)} - {
        "defaulted"
    }


def test_an_unknown_product_is_404_by_name(client: Client) -> None:
    answer = client.get("/decision/NOPE")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:purchase-prediction:unknown-product")
    for product_id in ("NOPE", ".", ".."):
        assert client.post("/decision", json={"product_id": product_id}).status_code == 404


@pytest.mark.parametrize(
    ("economics", "said"),
    [
        ({"price_cents": 10, "cost_cents": 20}, "price_cents 10 is not above cost_cents 20"),
        ({"on_hand_units": -1}, "on_hand_units is -1"),
        ({"on_hand_units": 10**400}, "on_hand_units is a number of 1329 bits; give 0 to 1000000000000"),
        ({"lead_time_months": 13}, "14 months"),
        ({"ad_elasticity": 2}, "ad_elasticity is 2"),
    ],
)
def test_impossible_numbers_are_refused_with_the_number(
    client: Client, economics: dict[str, float], said: str
) -> None:
    answer = client.post("/decision", json={"product_id": PRODUCT, "economics": economics})
    assert (answer.status_code, answer.json()["type"]) == (
        422,
        "urn:purchase-prediction:impossible-economics",
    )
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"product_id": "A", "forecast": "x"}, "forecast"),
        ({"product_id": "A", "economics": {"margin": 1}}, "economics.margin"),
        ({"product_id": "A", "economics": {"cost_cents": 1.5}}, "economics.cost_cents"),
        ({"product_id": ""}, "product_id"),
    ],
)
def test_a_request_that_says_nothing_clear_is_refused_by_field(
    client: Client, body: object, field: str
) -> None:
    answer = client.post("/decision", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    "changes",
    [
        {"probability_mass": None, "quantiles": {"0.50": 3}},
        {"probability_mass": [0, 0]},
        {"probability_mass": []},
        {"probability_mass": None, "quantiles": {"0.05": 9, "0.10": 1}},
        {"probability_mass": [0.5] * 4097},
        {"mean": -1},
        {"quantiles": {"0.05": 1e300}},
    ],
)
def test_a_sent_forecast_that_is_no_distribution_is_refused(
    client: Client, forecast: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert client.post("/decision", json={"forecast": forecast | changes}).status_code == 422


def test_an_answer_of_a_release_without_dependence_is_still_read(client: Client) -> None:
    answer = client.get(f"/decision/{PRODUCT}").json()
    assert Decision.model_validate(answer).dependence is not None
    del answer["dependence"]
    assert Decision.model_validate(answer).dependence is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"shop": 0.6, "category": 0.6, "months": 0},
        {"shop": -0.1, "category": 0, "months": 0},
        {"shop": 0.1},
        7,
    ],
    ids=json.dumps,
)
def test_a_sent_dependence_that_is_none_is_refused(
    client: Client, forecast: dict[str, Any], wrong: Any
) -> None:
    sent = {"forecast": forecast | {"dependence": wrong}}
    assert client.post("/decision", json=sent).status_code == 422
    fine = {"forecast": forecast | {"dependence": {"shop": 0.5, "category": 0.5, "months": 0.5}}}
    assert client.post("/decision", json=fine).json()["dependence"] == {"months": 0.5, "source": "model"}


@pytest.mark.parametrize("behaviour", ["hangs", "resets", "breaks", "talks nonsense", "is not ready"])
def test_a_forecast_service_in_trouble_is_503_with_a_time_to_retry(behaviour: str) -> None:
    with (
        forecast_service(behaviour) as url,
        answering(create(DecisionSettings(forecast_url=url, forecast_timeout_seconds=0.3))) as client,
    ):
        answer = client.get(f"/decision/{PRODUCT}")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["type"] == "urn:purchase-prediction:forecast-unavailable"
        assert client.get("/ready").status_code == 200
        assert 'decision_forecast_requests_total{result="failed"} 1.0' in client.get("/metrics").text


def test_a_forecast_service_that_is_gone_is_503() -> None:
    with answering(create(DecisionSettings(forecast_url="http://127.0.0.1:9"))) as client:
        answer = client.post("/decision", json={"product_id": PRODUCT})
    assert answer.status_code == 503


def test_the_request_id_travels_to_the_forecast_service(tmp_path: Path) -> None:
    seen = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as bound:

        def serve() -> None:
            connection, _ = bound.accept()
            with connection:
                seen.extend(connection.recv(65_536))
                connection.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")

        thread = Thread(target=serve)
        thread.start()
        settings = DecisionSettings(forecast_url=f"http://127.0.0.1:{bound.getsockname()[1]}")
        with answering(create(settings)) as client:
            client.get("/decision/a%2Fb", headers={"X-Request-ID": "r-77"})
        thread.join()
    assert b"X-Request-ID: r-77" in seen
    assert seen.startswith(b"GET /forecast/a%2Fb ")


def test_the_process_decides_over_http(decision_url: str) -> None:
    assert httpx.get(f"{decision_url}/health").json() == {"status": "ok"}
    assert httpx.get(f"{decision_url}/decision/{PRODUCT}").json()["product_id"] == PRODUCT


def test_the_process_ends_in_order() -> None:
    with listener() as bound, running("apps.decision", {}, bound) as process:
        process.popen.terminate()
        assert process.ended()[0] == 0
