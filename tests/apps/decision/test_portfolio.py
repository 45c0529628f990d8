"""One budget over the products of a shop: what the list says, what is left out, what is refused."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from apps.decision.main import create
from apps.decision.portfolio import decide_portfolio
from apps.decision.schemas import Portfolio, PortfolioRequest
from apps.decision.settings import DecisionSettings
from apps.forecast.schemas import Dependence, Forecast
from ml.decisions import Defaults
from tests.apps.client import Client, answering

ALL = 10**11


@pytest.fixture(scope="module")
def client(forecast_url: str) -> Iterator[Client]:
    with answering(create(DecisionSettings(forecast_url=forecast_url))) as client:
        yield client


@pytest.fixture(scope="module")
def forecasts(forecast_url: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = httpx.get(f"{forecast_url}/forecast?limit=1000").json()["forecasts"]
    return listed


def asked(client: Client, **body: Any) -> dict[str, Any]:
    answer = client.post("/decision/portfolio", json={"budget_cents": ALL, **body})
    assert answer.status_code == 200, answer.text
    Portfolio.model_validate_json(answer.content)
    told: dict[str, Any] = answer.json()
    return told


def test_with_money_for_all_every_order_is_the_products_own_decision(
    client: Client, forecasts: list[dict[str, Any]]
) -> None:
    told = asked(client)
    assert told["products"] == len(forecasts) > 1
    assert (told["binding"], told["gain_per_next_cent"], told["next_units"]) == ([], 0.0, [])
    assert told["model_sha256"] == forecasts[0]["model_sha256"]
    orders = {order["product_id"]: order["order_units"] for order in told["orders"]}
    for forecast in forecasts[:5]:
        name = forecast["product_id"]
        assert orders.get(name, 0) == client.get(f"/decision/{name}").json()["stock"]["order_units"]


def test_scenarios_are_drawn_under_the_dependence_that_the_model_measured(
    forecasts: list[dict[str, Any]],
) -> None:
    """From the same forecasts without and with a measured dependence: the wider total is that of the larger one."""
    plain = [Forecast.model_validate(forecast) for forecast in forecasts]
    learned = Dependence(shop=0.5, category=0.25, months=0.125)
    sure = [forecast.model_copy(update={"dependence": learned}) for forecast in plain]
    request = PortfolioRequest(budget_cents=ALL)
    assumed, measured = (decide_portfolio(each, request, Defaults()) for each in (plain, sure))
    assert assumed["dependence"] == {"shop": 0.05, "category": 0.05, "months": 0.25, "source": "assumed"}
    assert measured["dependence"] == {"shop": 0.5, "category": 0.25, "months": 0.125, "source": "model"}
    width = [
        told["scenarios"]["high"]["profit_cents"] - told["scenarios"]["low"]["profit_cents"]
        for told in (assumed, measured)
    ]
    assert width[1] > 1.2 * width[0]
    read = Portfolio.model_validate(measured).dependence
    assert read is not None
    assert read.source == "model"


def test_half_the_money_is_kept_to_and_the_next_units_are_named(client: Client) -> None:
    whole = asked(client)
    half = asked(client, budget_cents=whole["spend_cents"] // 2, next_steps=7)
    assert half["spend_cents"] <= whole["spend_cents"] // 2
    assert half["spend_cents"] == sum(order["cost_cents"] for order in half["orders"])
    assert half["binding"] == ["budget"]
    assert len(half["next_units"]) == 7
    gains = [step["gain_per_cent"] for step in half["next_units"]]
    assert gains == sorted(gains, reverse=True)
    assert half["gain_per_next_cent"] == pytest.approx(gains[0], abs=1e-6)
    assert half["expected_profit_cents"] < whole["expected_profit_cents"]


def test_scenarios_are_of_the_whole_shop(client: Client) -> None:
    told = asked(client)
    low, expected, high = (told["scenarios"][name]["profit_cents"] for name in ("low", "expected", "high"))
    assert low < expected < high
    assert expected == pytest.approx(told["expected_profit_cents"], rel=0.02)


def test_one_advertising_budget_goes_where_it_earns_most(
    client: Client, forecasts: list[dict[str, Any]]
) -> None:
    assert asked(client)["advertising"] is None
    assert asked(client, ad_budget_cents=500)["advertising"]["products"] == []
    spends = {forecast["product_id"]: {"ad_spend_cents": 300} for forecast in forecasts[:6]}
    ads = asked(client, products=spends, ad_budget_cents=1_700)["advertising"]
    assert {entry["product_id"] for entry in ads["products"]} == set(spends)
    assert sum(entry["spend_cents"] for entry in ads["products"]) == ads["spend_cents"] <= 1_700
    assert all(240 <= entry["spend_cents"] <= 360 for entry in ads["products"])
    alone = [
        client.post("/decision", json={"product_id": name, "economics": numbers}).json()["advertising"]
        for name, numbers in spends.items()
    ]
    rich = asked(client, products=spends, ad_budget_cents=10**6)["advertising"]
    assert [entry["binding"] for entry in rich["products"]] == [ad["binding"] for ad in alone]
    assert rich["gain_per_next_cent"] == 0.0


def test_an_advertising_budget_below_the_largest_cuts_is_refused(
    client: Client, forecasts: list[dict[str, Any]]
) -> None:
    spends = {forecasts[0]["product_id"]: {"ad_spend_cents": 1_000}}
    body = {"budget_cents": ALL, "products": spends, "ad_budget_cents": 700}
    answer = client.post("/decision/portfolio", json=body)
    assert (answer.status_code, answer.json()["type"]) == (
        422,
        "urn:purchase-prediction:impossible-economics",
    )
    assert "add up to 800 cents" in answer.json()["detail"]


def test_what_differs_for_one_product_stays_with_it(client: Client, forecasts: list[dict[str, Any]]) -> None:
    name = forecasts[0]["product_id"]
    before, after = asked(client), asked(client, products={name: {"on_hand_units": 10**6}})
    others = [order for order in before["orders"] if order["product_id"] != name]
    assert [order for order in after["orders"] if order["product_id"] != name] == others
    assert name not in {order["product_id"] for order in after["orders"]}


def test_a_product_whose_numbers_make_no_sense_is_left_out_by_name(
    client: Client, forecasts: list[dict[str, Any]]
) -> None:
    name = forecasts[0]["product_id"]
    told = asked(client, products={name: {"price_cents": 5, "cost_cents": 9}, "NOPE": {}})
    assert {entry["product_id"]: entry["reason"] for entry in told["left_out"]} == {
        "NOPE": "it has no forecast here",
        name: "price_cents 5 is not above cost_cents 9; every sale would lose money",
    }
    assert told["products"] == len(forecasts) - 1


def test_one_category_can_be_asked_for(client: Client, forecasts: list[dict[str, Any]]) -> None:
    category = forecasts[0]["category"]
    told = asked(client, category=category)
    assert told["products"] == sum(forecast["category"] == category for forecast in forecasts)
    empty = asked(client, category="no such category")
    assert (empty["products"], empty["orders"], empty["model_version"]) == (0, [], None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"budget_cents": -1}, "budget_cents"),
        ({}, "budget_cents"),
        ({"budget_cents": 1, "products": {"A": {"margin": 1}}}, "products.A.margin"),
        ({"budget_cents": 1, "next_steps": 10**6}, "next_steps"),
    ],
)
def test_a_request_that_says_nothing_clear_is_refused_by_field(
    client: Client, body: object, field: str
) -> None:
    answer = client.post("/decision/portfolio", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_without_a_forecast_service_it_is_503() -> None:
    with answering(create(DecisionSettings(forecast_url="http://127.0.0.1:9"))) as client:
        answer = client.post("/decision/portfolio", json={"budget_cents": 1})
    assert (answer.status_code, answer.json()["type"]) == (
        503,
        "urn:purchase-prediction:forecast-unavailable",
    )


def test_an_advertising_history_reaches_the_decision(client: Client, forecasts: list[dict[str, Any]]) -> None:
    spend = [1_000 + 500 * (k % 5) for k in range(24)]
    body = {
        "product_id": forecasts[0]["product_id"],
        "economics": {"ad_spend_cents": 2_000},
        "ad_history": {"spend_cents": spend, "units": [30 + 0.02 * x for x in spend]},
    }
    answer = client.post("/decision", json=body)
    assert answer.json()["advertising"]["elasticity_source"] == "fitted"
    body["ad_history"] = {"spend_cents": spend, "units": [1]}
    refused = client.post("/decision", json=body)
    assert (refused.status_code, refused.json()["type"]) == (
        422,
        "urn:purchase-prediction:impossible-economics",
    )
