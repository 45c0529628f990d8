"""Whatever is sent, no service answers with a defect, and every refusal is a problem detail."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from apps.collector.formats import JSON, MEDIA_TYPES
from apps.collector.main import create as create_collector
from apps.collector.settings import CollectorSettings
from apps.decision.main import create as create_decision
from apps.decision.schemas import PortfolioRequest
from apps.decision.settings import DecisionSettings
from apps.forecast.main import create as create_forecast
from ml.decisions import Economics
from ml.events import Event
from ml.product_history import ProductHistory
from tests.apps.client import Client, answering
from tests.apps.forecast.store import Shop

KEY = "k" * 16
FEW = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

scalar = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
plausible = st.sampled_from(
    ["P0003", "2026-01", "2025-12-01T00:00:00Z", "purchase", "TRY", 1, 0, -1, 10**13, 2.5, "a/b"]
)
leaf = plausible | scalar
names = st.text(max_size=8)
anything = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)
)
numbers = st.dictionaries(st.sampled_from(list(Economics.__dataclass_fields__)), leaf, max_size=6)


def body_of(names: list[str]) -> st.SearchStrategy[object]:
    """Objects with the real field names and any values, alone or in a list, among bodies of any shape."""
    fields = st.dictionaries(st.sampled_from(names), leaf | st.lists(leaf, max_size=5), max_size=len(names))
    return st.one_of(anything, fields, st.lists(fields, max_size=4))


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Iterator[dict[str, Client]]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    collector = CollectorSettings(
        inbox=folder / "inbox.sqlite", api_key=SecretStr(KEY), pseudonym_key=SecretStr("p" * 32)
    )
    decision = DecisionSettings(forecast_url="http://127.0.0.1:9")
    with (
        answering(create_collector(collector)) as one,
        answering(create_forecast(shop.settings())) as two,
        answering(create_decision(decision)) as three,
    ):
        yield {"collector": one, "forecast": two, "decision": three}


def check(
    client: Client,
    method: str,
    path: str,
    expected: set[int],
    headers: dict[str, str] | None = None,
    **options: object,
) -> None:
    answer = client.request(method, path, headers={"X-API-Key": KEY, **(headers or {})}, **options)
    assert answer.status_code in expected, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


@FEW
@given(body=body_of(list(Event.model_fields)))
def test_any_events(clients: dict[str, Client], body: object) -> None:
    content, headers = json.dumps(body).encode(), {"Content-Type": JSON}
    check(clients["collector"], "POST", "/events", {202, 409, 422}, content=content, headers=headers)


@FEW
@given(
    body=body_of(["specversion", "id", "source", "type", "time", "data", "data_base64", *Event.model_fields]),
    kind=st.sampled_from([form for form in MEDIA_TYPES if form != JSON]),
)
def test_any_events_in_other_forms(clients: dict[str, Client], body: object, kind: str) -> None:
    content, headers = json.dumps(body).encode(), {"Content-Type": kind}
    check(clients["collector"], "POST", "/events", {202, 409, 422}, content=content, headers=headers)


@FEW
@given(body=body_of(list(ProductHistory.model_fields)))
def test_any_histories(clients: dict[str, Client], body: object) -> None:
    check(clients["forecast"], "POST", "/forecast", {200, 422}, json=body)


@FEW
@given(product_id=st.text(min_size=1, max_size=220), search=st.text(max_size=220), limit=st.integers())
def test_any_question(clients: dict[str, Client], product_id: str, search: str, limit: int) -> None:
    parameters = {"search": search, "cursor": product_id, "limit": limit}
    check(clients["forecast"], "GET", "/forecast", {200, 422}, params=parameters)


@FEW
@given(economics=numbers, data=st.data())
def test_any_economics_of_a_real_forecast(
    clients: dict[str, Client], economics: object, data: st.DataObject
) -> None:
    forecast = clients["forecast"].get("/forecast/P0003").json()
    for name in data.draw(st.lists(st.sampled_from(list(forecast)), max_size=2)):
        forecast[name] = data.draw(leaf | st.lists(leaf, max_size=4))
    check(
        clients["decision"],
        "POST",
        "/decision",
        {200, 422},
        json={"forecast": forecast, "economics": economics},
    )


@FEW
@given(body=body_of(["product_id", "forecast", "economics"]))
def test_any_decision(clients: dict[str, Client], body: object) -> None:
    check(clients["decision"], "POST", "/decision", {422, 503}, json=body)


@FEW
@given(body=body_of(list(PortfolioRequest.model_fields)))
def test_any_portfolio(clients: dict[str, Client], body: object) -> None:
    check(clients["decision"], "POST", "/decision/portfolio", {422, 503}, json=body)


forms = st.sampled_from([*MEDIA_TYPES, f"{JSON}; charset=utf-8", "", "x/y; charset=q"])
ce_headers = st.dictionaries(
    st.sampled_from([f"ce-{name}" for name in ("specversion", "id", "source", "type", "time", "x")]),
    st.sampled_from(["1.0", "purchase", "a.view", "%C5%9E", "%ff%", "", "2026-03-01T00:00:00Z"]),
)


@FEW
@given(content=st.binary(max_size=300), kind=forms, headers=ce_headers)
def test_any_bytes(clients: dict[str, Client], content: bytes, kind: str, headers: dict[str, str]) -> None:
    for name, path in (("collector", "/events"), ("forecast", "/forecast"), ("decision", "/decision")):
        sent = {**headers, "X-API-Key": KEY, "Content-Type": kind}
        answer = clients[name].post(path, content=content, headers=sent)
        assert answer.status_code in {202, 400, 415, 422}, answer.text
