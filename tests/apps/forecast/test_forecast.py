"""The forecast service answers what its snapshot says, and what the same model says of a sent history."""

import json
import math
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from apps.forecast.main import create
from apps.forecast.schemas import Forecast
from apps.forecast.serving import DRIFT_STATES
from ml.model_store import QUALITY, ModelStore
from ml.product_history import ProductHistory
from scripts.evidence.soak import DRIFT_ANSWERS, queries
from tests.apps.client import Client, answering
from tests.apps.forecast.store import DATA_VERSION, KEY, VERSION, Shop, a_month_later
from tests.apps.process import listener, running

PLANNED = ("price_cents", "promotion", "advertising_cents")
LATER = "2026-01.aaaaaaaaaaaa"


@pytest.fixture(scope="module")
def client(shop: Shop) -> Iterator[Client]:
    with answering(create(shop.settings())) as client:
        yield client


def snapshot_lines(shop: Shop) -> dict[str, bytes]:
    """Answers as the file has them, read without the code under test."""
    _, data = ModelStore(shop.root).newest_snapshot(shop.model_sha256)
    lines = data.splitlines()[2:]
    return {json.loads(line)["product_id"]: line for line in lines}


def history_of(shop: Shop, row: int) -> dict[str, object]:
    fields: dict[str, object] = ProductHistory.of(shop.history, row).model_dump()
    return fields


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_product_is_answered_with_the_bytes_of_the_snapshot(client: Client, shop: Shop) -> None:
    lines = snapshot_lines(shop)
    assert len(lines) == 40
    for product_id, line in lines.items():
        answer = client.get(f"/forecast/{quote(product_id, safe='')}")
        assert (answer.status_code, answer.content) == (200, line)
        assert Forecast.model_validate_json(answer.content).product_id == product_id


def test_an_answer_names_model_and_data(client: Client) -> None:
    headers = client.get("/forecast/P0001").headers
    assert headers["content-type"] == "application/json"
    assert (headers["x-model-version"], headers["x-data-version"]) == (str(VERSION), DATA_VERSION)


def test_the_answer_that_lies_ready_is_that_of_the_route(client: Client, shop: Shop) -> None:
    """A query takes the route, whose answer it does not change."""
    for name in (*shop.history.product_ids, " p0001 ", "NOPE", "X" * 201, ""):
        path = f"/forecast/{quote(name, safe='')}"
        given = [client.get(each, headers={"X-Request-ID": "same"}) for each in (path, f"{path}?route=1")]
        assert given[0].content == given[1].content
        assert given[0].status_code == given[1].status_code
        assert sorted(given[0].headers.multi_items()) == sorted(given[1].headers.multi_items())


def test_a_product_is_found_as_the_shop_spells_it(client: Client) -> None:
    assert client.get("/forecast/%20p0001").content == client.get("/forecast/P0001").content


def test_an_unknown_product_is_404_by_name(client: Client) -> None:
    answer = client.get("/forecast/NOPE")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:purchase-prediction:unknown-product")
    assert "'NOPE'" in answer.json()["detail"]


def test_an_endless_product_id_is_refused(client: Client) -> None:
    assert client.get(f"/forecast/{'X' * 201}").status_code == 422


def test_pages_hold_every_product_once_in_order(client: Client, shop: Shop) -> None:
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get("/forecast", params={"limit": 7, "cursor": cursor}).json()
        assert page["total"] == 40
        seen += [forecast["product_id"] for forecast in page["forecasts"]]
        cursor = page["next_cursor"]
    assert seen == sorted(shop.history.product_ids)


@pytest.mark.parametrize("limit", [40, 41, 1000])
def test_the_last_page_has_no_next(client: Client, limit: int) -> None:
    page = client.get("/forecast", params={"limit": limit}).json()
    assert (len(page["forecasts"]), page["next_cursor"]) == (40, None)


@pytest.mark.parametrize("limit", [0, 1001, "many"])
def test_a_page_size_out_of_range_is_refused(client: Client, limit: object) -> None:
    answer = client.get("/forecast", params={"limit": str(limit)})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "limit")


def test_a_list_can_be_one_category_and_a_part_of_the_id(client: Client, shop: Shop) -> None:
    toys = client.get("/forecast", params={"category": "toys"}).json()
    wanted = {
        n for n, c in zip(shop.history.product_ids, shop.history.categories, strict=True) if c == "toys"
    }
    assert {forecast["product_id"] for forecast in toys["forecasts"]} == wanted
    both = client.get("/forecast", params={"category": "toys", "search": " p001"}).json()
    assert {forecast["product_id"] for forecast in both["forecasts"]} == {n for n in wanted if "P001" in n}
    assert client.get("/forecast", params={"category": "a, b"}).json()["total"] == 1
    assert client.get("/forecast", params={"category": "none"}).json() == {
        "total": 0,
        "next_cursor": None,
        "together": None,
        "forecasts": [],
    }


def test_categories_add_up_to_their_products(client: Client) -> None:
    products = client.get("/forecast", params={"limit": 1000}).json()["forecasts"]
    answer = client.get("/categories").json()
    assert (answer["month"], answer["data_version"]) == ("2026-01", DATA_VERSION)
    assert sum(category["products"] for category in answer["categories"]) == 40
    for category in answer["categories"]:
        means = [p["mean"] for p in products if p["category"] == category["category"]]
        assert category["mean"] == pytest.approx(math.fsum(means), abs=1e-4)
        one = client.get(f"/categories/{quote(category['category'])}")
        assert one.json() == category
    assert client.get("/categories/none").status_code == 404


def test_a_snapshot_without_joint_quantiles_still_tells_means(own: Shop) -> None:
    own.write_snapshot()
    with answering(create(own.settings())) as client:
        answer = client.get("/categories").json()
    assert {category["quantiles"] for category in answer["categories"]} == {None}
    means = [category["mean"] for category in answer["categories"]]
    assert answer["total"] == {
        "mean": pytest.approx(math.fsum(means)),
        "products": 40,
        "quantiles": None,
    }


def test_categories_and_shop_carry_quantiles_wherever_they_are_told(client: Client, shop: Shop) -> None:
    _, data = ModelStore(shop.root).newest_snapshot(shop.model_sha256)
    header = json.loads(data.splitlines()[1])
    answer = client.get("/categories").json()
    assert answer["total"] == header["total_forecast"]
    for category in answer["categories"]:
        name = category.pop("category")
        assert category == header["category_forecasts"][name]
        assert client.get(f"/categories/{quote(name)}").json() == {"category": name, **category}
        assert client.get("/forecast", params={"category": name}).json()["together"] == category
    assert client.get("/forecast").json()["together"] == answer["total"]
    assert client.get("/forecast", params={"search": "P001"}).json()["together"] is None


def test_a_sent_history_gets_the_bytes_that_the_snapshot_has_for_it(client: Client, shop: Shop) -> None:
    lines = snapshot_lines(shop)
    for row in (0, 1, 2, 5, 39):
        answer = client.post("/forecast", json=history_of(shop, row))
        assert (answer.status_code, answer.content) == (200, lines[shop.history.product_ids[row]])


def test_many_sent_histories_are_answered_in_order_with_the_same_bytes(client: Client, shop: Shop) -> None:
    rows = [7, 0, 39, 7, 3]
    sent = [history_of(shop, row) for row in rows]
    sent[2].pop("extra")
    alone = client.post("/forecast", json=sent[2]).content
    answer = client.post("/forecast", json=sent)
    lines = snapshot_lines(shop)
    wanted = [lines[shop.history.product_ids[row]] for row in rows]
    wanted[2] = alone
    assert answer.content == b'{"forecasts":[' + b",".join(wanted) + b"]}"


def test_a_product_that_no_shop_knows_can_be_sent(client: Client) -> None:
    sent = {"product_id": "new", "first_month": "2025-10", "units": [3, 0, 5]}
    answer = client.post("/forecast", json=sent).json()
    assert (answer["product_id"], answer["month"], answer["history_months"]) == ("NEW", "2026-01", 3)
    assert answer["price_cents"] is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"first_month": "2025-09"}, "[0].first_month"),
        ({"first_month": "2025-13"}, "first_month"),
        ({"units": [1, -1, 0]}, "units[1]"),
        ({"units": []}, "units"),
        ({"units": [1, 2, 1e13]}, "units[2]"),
        ({"extra": {"weather": [1, 2, 3]}}, "extra"),
        ({"surprise": 1}, "surprise"),
        ({"plan": {"price_cents": 0}}, "plan.price_cents"),
        ({"plan": {"price_cents": "cheap"}}, "plan.price_cents"),
        ({"plan": {"promotion": 1.5}}, "plan.promotion"),
        ({"plan": {"advertising_cents": -1}}, "plan.advertising_cents"),
        ({"plan": {"discount": 0.2}}, "plan.discount"),
        ({"plan": 5}, "plan"),
        ({"past_plan": [None, {"promotion": -1}, None]}, "past_plan[1].promotion"),
    ],
)
def test_a_history_that_cannot_be_forecast_from_is_refused_by_field(
    client: Client, changes: dict[str, object], field: str
) -> None:
    sent = {"product_id": "new", "first_month": "2025-10", "units": [3, 0, 5]} | changes
    answer = client.post("/forecast", json=sent)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_a_plan_is_told_and_changes_nothing_where_the_model_learned_nothing_of_plans(client: Client) -> None:
    plain = {"product_id": "new", "first_month": "2025-10", "units": [3, 0, 5]}
    told = client.post("/forecast", json=plain | {"plan": {"price_cents": 250, "promotion": True}}).json()
    assert told.pop("plan") == {
        "price_cents": 250,
        "promotion": 1,
        "advertising_cents": None,
        "used": False,
        "lift": None,
    }
    assert told == client.post("/forecast", json=plain).json()


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.sampled_from(PLANNED), st.none() | st.booleans() | st.floats() | st.text(max_size=3))
)
def test_any_plan_is_answered_or_refused_by_field(client: Client, plan: dict[str, object]) -> None:
    sent = {"product_id": "new", "first_month": "2025-10", "units": [3, 0, 5], "plan": plan}
    headers = {"content-type": "application/json"}
    answer = client.post("/forecast", content=json.dumps(sent), headers=headers)
    if answer.status_code == 200:
        assert Forecast.model_validate_json(answer.content).mean >= 0
    else:
        assert answer.status_code == 422
        assert all(error["field"].startswith("plan") for error in answer.json()["errors"])


def test_a_bad_history_among_many_is_named_by_its_place(client: Client) -> None:
    good = {"product_id": "new", "first_month": "2025-10", "units": [3, 0, 5]}
    answer = client.post("/forecast", json=[good, good | {"units": ["x", 1, 2]}])
    assert answer.json()["errors"][0]["field"] == "[1].units[0]"
    assert client.post("/forecast", json=[]).status_code == 422
    assert client.post("/forecast", json=[good] * 1001).status_code == 422


def test_model_info_says_what_answers_here(client: Client, shop: Shop) -> None:
    info = client.get("/model-info").json()
    assert info.pop("loaded_at")
    assert info == {
        "image_tag": "9c0d7e2",
        "model_version": VERSION,
        "model_sha256": shop.model_sha256,
        "data_version": DATA_VERSION,
        "month": "2026-01",
        "candidate": "mix",
        "products": 40,
        "stock_data": "no stock data",
        "snapshot_created_at": "2026-01-05T08:00:00Z",
        "stale": False,
    }


def test_without_a_bundle_it_is_alive_and_not_ready_and_heals(own: Shop) -> None:
    bundle = own.root / "bundles" / f"{own.model_sha256}.tar"
    hidden = bundle.rename(own.root / "hidden")
    own_snapshot = own.root / "snapshots"
    assert not own_snapshot.exists()
    with answering(create(own.settings())) as client:
        ready = client.get("/ready")
        assert client.get("/health").status_code == 200
        assert ready.status_code == 503
        assert own.model_sha256[:12] in ready.json()["checks"]["model"]["detail"]
        for path in ("/forecast/P0001", "/forecast", "/categories", "/model-info"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        hidden.rename(bundle)
        until(lambda: client.get("/ready").json()["checks"]["model"]["ready"])
        assert "snapshot" in client.get("/ready").json()["checks"]["snapshot"]["detail"]
        own.write_snapshot()
        until(lambda: client.get("/ready").status_code == 200)
        assert client.get("/forecast/P0001").status_code == 200


def test_a_bundle_with_another_digest_is_never_served(own: Shop) -> None:
    own.write_snapshot()
    bundle = own.root / "bundles" / f"{own.model_sha256}.tar"
    bundle.write_bytes(bundle.read_bytes() + b"\0")
    with answering(create(own.settings())) as client:
        assert client.get("/ready").status_code == 503
        assert client.get("/forecast/P0001").status_code == 503


def test_a_snapshot_of_another_model_version_is_never_served(own: Shop) -> None:
    own.write_snapshot(version=VERSION + 1)
    with answering(create(own.settings())) as client:
        detail = client.get("/ready").json()["checks"]["snapshot"]["detail"]
    assert detail.startswith(f"the snapshot is of version {VERSION + 1}, the release names {VERSION}")


def test_reload_takes_over_a_newer_snapshot(own: Shop) -> None:
    own.write_snapshot()
    with answering(create(own.settings())) as client:
        before = client.get("/forecast/P0001").json()
        assert client.post("/reload", headers={"X-API-Key": KEY}).json()["changed"] is False
        own.write_snapshot(history=a_month_later(own.history), data_version=LATER)
        answer = client.post("/reload", headers={"X-API-Key": KEY}).json()
        after = client.get("/forecast/P0001").json()
    assert answer["changed"] is True
    assert (answer["serving"]["data_version"], answer["serving"]["month"]) == (LATER, "2026-02")
    assert (before["month"], after["month"]) == ("2026-01", "2026-02")


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda data: data[:0], lambda data: data.replace(b"P0001", b"P9999")]
)
def test_reload_of_a_damaged_snapshot_changes_nothing(own: Shop, damage: Callable[[bytes], bytes]) -> None:
    own.write_snapshot()
    with answering(create(own.settings())) as client:
        before = client.get("/forecast/P0001").content
        path = own.write_snapshot(history=a_month_later(own.history), data_version=LATER)
        path.write_bytes(damage(path.read_bytes()))
        answer = client.post("/reload", headers={"X-API-Key": KEY})
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:purchase-prediction:bundle-refused")
        assert client.get("/forecast/P0001").content == before
        assert client.get("/ready").status_code == 200
        assert 'forecast_loads_total{result="refused"} 1.0' in client.get("/metrics").text


def test_reload_needs_the_key(client: Client) -> None:
    assert client.post("/reload").status_code == 401


def test_metrics_never_name_a_product(client: Client) -> None:
    client.get("/forecast/P0001")
    client.get("/categories/toys")
    text = client.get("/metrics").text
    assert 'route="/forecast/{product_id}"' in text
    assert "P0001" not in text
    assert "toys" not in text


def series(client: Client, name: str) -> dict[frozenset[tuple[str, str]], float]:
    """Values by labels, read with the client library's own parser."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {frozenset(sample.labels.items()): sample.value for sample in samples}


def test_metrics_name_the_release_that_answers(client: Client, shop: Shop) -> None:
    labels = {"image_tag": "9c0d7e2", "model_version": str(VERSION), "model_sha256": shop.model_sha256}
    assert series(client, "release_info") == {frozenset(labels.items()): 1.0}


def test_metrics_name_no_release_while_nothing_is_served(own: Shop) -> None:
    with answering(create(own.settings())) as client:
        assert client.get("/ready").status_code == 503
        assert series(client, "release_info") == {}
        assert series(client, "forecast_drift") == {}


@pytest.mark.parametrize(
    ("answer", "state"), [("no drift", "none"), ("drift", "found"), ("not enough data", "unknown")]
)
def test_metrics_tell_the_drift_that_the_snapshot_was_written_with(
    own: Shop, answer: str, state: str
) -> None:
    own.write_snapshot()
    with answering(create(own.settings())) as client:
        assert series(client, "forecast_drift")[frozenset({("state", "unknown")})] == 1
        own.write_snapshot(drift=answer, data_version=LATER)
        assert client.post("/reload", headers={"X-Api-Key": KEY}).status_code == 200
        found = {dict(labels)["state"]: value for labels, value in series(client, "forecast_drift").items()}
    assert found == {each: float(each == state) for each in ("none", "found", "unknown")}


def test_metrics_have_every_name_that_a_promotion_asks_for(client: Client) -> None:
    """Also the labels: a status, a route to leave probes out by, and a state."""
    client.get("/forecast/P0001")
    asked = " ".join(queries("shop-staging", 3600).values())
    names = set(re.findall(r"([a-z_]+)(?=\{)", asked)) - {"up"}
    assert names == {
        *("release_info", "forecast_drift"),
        *("http_requests_total", "http_request_duration_seconds_bucket"),
    }
    for name in names:
        assert series(client, name), name
    for labels in series(client, "http_requests_total"):
        assert {"status", "route"} <= dict(labels).keys()
    assert {answer: state for state, answer in DRIFT_ANSWERS.items()} == DRIFT_STATES
    assert {dict(labels)["state"] for labels in series(client, "forecast_drift")} == DRIFT_ANSWERS.keys()


def test_openapi_describes_every_answer(client: Client) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/health",
        "/ready",
        "/metrics",
        "/forecast",
        "/forecast/{product_id}",
        "/categories",
        "/categories/{category}",
        "/nowcast",
        "/nowcast/{product_id}",
        "/past/{product_id}",
        "/data-quality",
        "/drift",
        "/model-info",
        "/reload",
    }
    forecast = document["components"]["schemas"]["Forecast"]["properties"]
    answer = client.get("/forecast/P0001").json()
    not_here = {"dependence", "plan", "returns", "probability_of_sale", "stale"}
    assert set(forecast) - set(answer) == not_here, "told where they are known"
    assert set(answer) <= set(forecast)


def test_the_process_answers_over_http(shop: Shop, forecast_url: str) -> None:
    assert httpx.get(f"{forecast_url}/health").json() == {"status": "ok"}
    answer = httpx.get(f"{forecast_url}/forecast/P0001")
    assert answer.content == snapshot_lines(shop)["P0001"]


def test_the_process_ends_in_order_with_its_parent(shop: Shop) -> None:
    with listener() as bound, running("apps.forecast", shop.variables(), bound) as process:
        process.lose_parent()
        assert process.ended()[0] == 0


def test_without_its_release_the_process_stops_with_one_sentence(tmp_path: Path) -> None:
    variables = {"FORECAST_MODEL_STORE": str(tmp_path), "FORECAST_API_KEY": KEY}
    with listener() as bound, running("apps.forecast", variables, bound) as process:
        code, _, errors = process.ended()
    meaning = "is not set (written by environments/<environment>/release.yaml)"
    names = ("FORECAST_MODEL_VERSION", "FORECAST_MODEL_SHA256", "FORECAST_IMAGE_TAG")
    assert (code, errors) == (1, "; ".join(f"{name} {meaning}" for name in names) + "\n")


LINE = {"so_far": 3.0, "expected": 9.5, "p10": None, "p90": None}
OPEN_MONTH = {
    "month": "2026-01",
    "days": 9,
    "elapsed_share": 0.29,
    "months_learned_from": 24,
    "shop": LINE,
    "categories": {"toys": LINE},
}
OF_A_PRODUCT = LINE | {"p10": 4.0, "p90": 15.0}


def test_the_open_month_is_told_apart_from_the_forecast(own: Shop) -> None:
    own.write_snapshot(
        notes={
            "nowcast": OPEN_MONTH | {"products": {"P0002": OF_A_PRODUCT}},
            "stock_data": "days out of stock",
        }
    )
    with answering(create(own.settings())) as client:
        whole = client.get("/nowcast").json()
        assert whole == {**OPEN_MONTH, "unknown": None}
        assert client.get("/nowcast/p0002").json() == OF_A_PRODUCT
        missing = client.get("/nowcast/P0003")
        assert (missing.status_code, missing.json()["type"]) == (
            404,
            "urn:purchase-prediction:unknown-nowcast",
        )
        assert client.get("/model-info").json()["stock_data"] == "days out of stock"
        assert "nowcast" not in client.get("/forecast/P0002").json()


def test_without_an_open_month_it_says_so(client: Client) -> None:
    assert "without the open month" in client.get("/nowcast").json()["unknown"]
    assert "without the open month" in client.get("/nowcast/P0002").json()["detail"]


def test_the_report_of_the_quality_gate_is_told_as_it_is_kept(
    own: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.forecast.stored_report.KEPT_SECONDS", 0.0)
    store, at = ModelStore(own.root), "2026-11-20T09:00:00Z"
    report = {"verdict": "fail", "data_version": None, "created_at": at, "as_of": at, "newest_event": None}
    check = {"name": "volume", "verdict": "fail", "value": 2.5, "threshold": 1.6, "reason": "few", "count": 1}
    kept = {**report, "checks": [{**check, "rows": [{"day": "2026-11-19", "events": 7}]}], "history": []}
    with answering(create(own.settings())) as client:
        assert client.get("/data-quality").status_code == 404
        store.put_report(QUALITY, json.dumps({**kept, "of_a_newer_release": 1}).encode())
        assert client.get("/data-quality").json() == kept
        store.put_report(QUALITY, b"[]")
        refused = client.get("/data-quality")
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (
            503,
            "unreadable-quality-report",
        )


def test_the_report_is_read_from_the_store_at_most_every_few_seconds(
    own: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    monkeypatch.setattr(ModelStore, "report", lambda _, name: reads.append(1) if name == QUALITY else None)
    with answering(create(own.settings())) as client:
        assert [client.get("/data-quality").status_code for _ in range(5)] == [404] * 5
    assert len(reads) == 1
