"""What every service promises at its edge."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from apps.chassis.logs import JsonLines
from tests.apps.chassis.demo import KEY, DemoSettings, create
from tests.apps.client import Client, answering


@pytest.fixture
def client() -> Iterator[Client]:
    with answering(create(DemoSettings())) as client:
        yield client


def samples(client: Client, name: str) -> dict[tuple[str, str, str], float]:
    text = client.get("/metrics").text
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_health_is_exactly_this_body(client: Client) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_names_each_check_and_is_200_only_when_all_pass() -> None:
    async def fine() -> str | None:
        return None

    async def missing() -> str | None:
        return "no snapshot"

    async def hanging() -> str | None:
        await asyncio.sleep(30)
        return None

    with answering(create(DemoSettings(), {"model": fine})) as client:
        assert client.get("/ready").status_code == 200
    with answering(create(DemoSettings(), {"model": fine, "snapshot": missing, "store": hanging})) as client:
        answer = client.get("/ready")
        assert client.get("/health").status_code == 200
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "checks": {
            "model": {"ready": True, "detail": None},
            "snapshot": {"ready": False, "detail": "no snapshot"},
            "store": {"ready": False, "detail": "no answer within 1 s"},
        },
    }


def test_metrics_count_by_route_template_and_never_by_what_the_caller_chose(client: Client) -> None:
    for path in ("/items/A1", "/items/B2", "/items/missing", "/nowhere/C3"):
        client.get(path)
    client.request("BREW", "/items/A1")
    counts = samples(client, "http_requests_total")
    assert counts["GET", "/items/{item_id}", "200"] == 2
    assert counts["GET", "/items/{item_id}", "404"] == 1
    assert counts["GET", "unmatched", "404"] == 1
    assert counts["other", "/items/{item_id}", "405"] == 1
    assert samples(client, "http_request_duration_seconds_count")["GET", "/items/{item_id}", "200"] == 2
    assert not re.search("A1|B2|C3|BREW", client.get("/metrics").text)


def test_two_applications_count_apart() -> None:
    with answering(create(DemoSettings())) as one, answering(create(DemoSettings())) as other:
        one.get("/items/A1")
        assert ("GET", "/items/{item_id}", "200") not in samples(other, "http_requests_total")


def test_a_plain_request_id_is_echoed_and_another_replaced(client: Client) -> None:
    assert (
        client.get("/health", headers={"X-Request-ID": "order-7.a_b"}).headers["x-request-id"]
        == "order-7.a_b"
    )
    for offered in ("", "a b", "x" * 65, '{"inject":1}'):
        given = client.get("/health", headers={"X-Request-ID": offered}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", given)


@pytest.mark.parametrize("path", ["/health", "/items/missing", "/nowhere", "/items/defect"])
def test_every_answer_carries_the_security_headers(client: Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("DELETE", "/items/A1", 405, "method-not-allowed"),
        ("GET", "/items/missing", 404, "unknown-product"),
        ("GET", "/items/unavailable", 503, "store-unavailable"),
        ("GET", "/items/defect", 500, "internal-error"),
        ("POST", "/items", 422, "invalid-request"),
        ("POST", "/change", 401, "api-key-refused"),
    ],
)
def test_every_error_is_a_problem_detail(
    client: Client, method: str, path: str, status: int, name: str
) -> None:
    answer = client.request(method, path, headers={"X-Request-ID": "r1"})
    body = answer.json()
    assert answer.status_code == body["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"urn:purchase-prediction:{name}"
    assert body["request_id"] == "r1"
    assert body["detail"]


def test_a_method_that_a_path_does_not_take_is_answered_with_those_it_takes(client: Client) -> None:
    assert client.request("DELETE", "/items/A1").headers["allow"] == "GET"


def test_an_unavailable_store_says_when_to_come_back(client: Client) -> None:
    assert int(client.get("/items/unavailable").headers["retry-after"]) > 0


def test_a_defect_is_logged_and_not_shown(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        answer = client.get("/items/defect")
    assert "secret inside" not in answer.text
    assert any("secret inside" in (record.exc_text or "") or record.exc_info for record in caplog.records)


def test_a_refused_field_is_named_with_its_value(client: Client) -> None:
    body = client.post("/items", json=[{"units": 1}, {"units": -3}]).json()
    assert body["errors"] == [
        {"field": "[1].units", "reason": "Input should be greater than or equal to 0 (got -3)"}
    ]
    assert "[1].units" in body["detail"]


def test_a_refused_value_cannot_fill_the_answer(client: Client) -> None:
    assert len(client.post("/items", json=[{"units": "x" * 100_000}]).content) < 1_000


@pytest.mark.parametrize("content", [b'[{"units":', b"\xff\xfe", b"[" * 3_000_000])
def test_a_body_that_is_not_json_is_refused(client: Client, content: bytes) -> None:
    answer = client.post("/items", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_over_the_limit_is_refused_announced_or_not() -> None:
    async def unannounced() -> object:
        for _ in range(3):
            yield b"[" + b" " * 1_000

    with answering(create(DemoSettings(max_body_bytes=1_024))) as client:
        announced = client.post("/items", content=b" " * 1_025)
        counted = client.post("/items", content=unannounced(), headers={"Content-Type": "application/json"})
        within = client.post(
            "/items", content=b"[]" + b" " * 1_022, headers={"Content-Type": "application/json"}
        )
    assert [announced.status_code, counted.status_code, within.status_code] == [413, 413, 200]
    assert announced.json()["type"] == counted.json()["type"] == "urn:purchase-prediction:body-too-large"


@pytest.mark.parametrize(
    ("key", "status"), [(KEY, 200), (KEY + "x", 401), (KEY[:-1], 401), ("", 401), ("ş", 401)]
)
def test_a_key_route_takes_only_the_key(client: Client, key: str, status: int) -> None:
    assert client.post("/change", headers={"X-API-Key": key.encode()}).status_code == status


def test_each_request_is_one_json_line_with_its_id(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="apps.chassis.edge"):
        client.get("/items/A1", headers={"X-Request-ID": "r7"})
    (record,) = [record for record in caplog.records if record.name == "apps.chassis.edge"]
    line = json.loads(JsonLines("demo").format(record))
    assert line["event"] == "request"
    assert (line["service"], line["route"], line["status"]) == ("demo", "/items/{item_id}", 200)
    assert line["milliseconds"] >= 0


def test_openapi_describes_the_routes_and_the_key(client: Client) -> None:
    document = client.get("/openapi.json").json()
    assert {"/health", "/ready", "/metrics", "/items", "/change"} <= set(document["paths"])
    assert document["paths"]["/change"]["post"]["security"] == [{"api_key": []}, {"token": []}]
    assert "security" not in document["paths"]["/items"]["post"]
