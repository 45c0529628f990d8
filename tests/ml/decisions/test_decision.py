"""The whole answer: origin, inputs with defaults marked, bounds, one sentence."""

import json
import math
from typing import Any

import numpy as np
import pytest

from ml.decisions import AdHistory, Economics, decide
from ml.errors import ImpossibleEconomics

MASS = [math.exp(k * math.log(50) - 50 - math.lgamma(k + 1)) for k in range(120)]


def forecast(**changes: Any) -> dict[str, Any]:
    return {
        "product_id": "MUG",
        "category": "kitchen",
        "month": "2026-11",
        "mean": 50.0,
        "probability_mass": MASS,
        "price_cents": 1000,
        "model_version": 12,
        "model_sha256": "5f" * 32,
        "data_version": "2026-10.0123456789ab",
        "calibration_id": "c" * 12,
        "risk_cuts": [0.05, 0.4],
        **changes,
    }


def test_it_is_json_and_names_the_model_data_and_calibration_it_came_from() -> None:
    answer = json.loads(json.dumps(decide(forecast(), {})))
    for name in ("product_id", "month", "model_version", "model_sha256", "data_version", "calibration_id"):
        assert answer[name] == forecast()[name]


def test_every_input_says_whether_it_was_given() -> None:
    inputs = decide(forecast(), {"cost_cents": 400})["inputs"]
    assert inputs["cost_cents"] == {"value": 400, "default": False}
    assert inputs["price_cents"] == {"value": 1000, "default": True}
    assert set(inputs) == set(Economics.of({}, 1000).inputs())


def test_it_says_which_dependence_was_used() -> None:
    """The planner's own number, else what the model measured, else the assumption of the shop's defaults."""
    learned = {"shop": 0.1, "category": 0.2, "months": 0.6}
    wait: dict[str, float | None] = {"lead_time_months": 2}
    assumed, measured, own = (
        decide(forecast(**model), wait | given)
        for model, given in (
            ({}, {}),
            ({"dependence": learned}, {}),
            ({"dependence": learned}, {"month_correlation": 0.25}),
        )
    )
    assert assumed["dependence"] == {"months": 0.25, "source": "assumed"}
    assert measured["dependence"] == {"months": 0.6, "source": "model"}
    assert own["dependence"] == {"months": 0.25, "source": "given"}
    assert measured["inputs"]["month_correlation"] == {"value": 0.6, "default": True}
    assert assumed["stock"] == own["stock"]
    assert measured["scenarios"]["low"] != own["scenarios"]["low"]
    assert decide(forecast(dependence=None), wait) == assumed


def test_the_numbers_agree_with_the_textbook_stock() -> None:
    given = {"cost_cents": 300, "salvage_cents": 130, "holding_cents": 10}
    stock = decide(forecast(), given)["stock"]
    assert stock["stock_units"] == 56  # underage 700, overage 180: the Poisson case of .70 and .18
    assert stock["expected_mismatch_cost_cents"] == pytest.approx(1797, abs=1)
    assert stock["critical_ratio"] == pytest.approx(0.7955, abs=1e-4)


def test_scenarios_are_outcomes_of_the_same_order() -> None:
    """The profit at P10 of demand is not the P10 of profit when stock runs out: replay the demand to see."""
    answer = decide(forecast(), {})
    stock, low = answer["stock"]["available_units"], answer["scenarios"]["low"]["profit_cents"]
    draws = np.random.default_rng(1).poisson(50, 200_000)
    earned = 400 * draws - 400 * np.maximum(draws - stock, 0) - 312 * np.maximum(stock - draws, 0)
    assert low == pytest.approx(np.quantile(earned, 0.1), rel=0.02)
    assert answer["scenarios"]["expected"]["profit_cents"] == pytest.approx(earned.mean(), rel=0.01)
    assert answer["scenarios"]["expected"]["profit_cents"] == answer["stock"]["expected_profit_cents"]


def test_risk_follows_the_cuts_that_came_with_the_model() -> None:
    assert decide(forecast(), {})["risk"]["level"] == "Medium"
    assert decide(forecast(risk_cuts=[1.0, 2.0]), {})["risk"]["level"] == "Low"
    assert decide(forecast(risk_cuts=[0.01, 0.02]), {})["risk"]["level"] == "High"


def test_bounds_that_hold_a_recommendation_back_are_named() -> None:
    assert decide(forecast(), {"ad_spend_cents": 10, "on_hand_units": 500})["binding"] == [
        "advertising_step_up",
        "stock_already_above_recommendation",
    ]
    assert decide(forecast(), {})["binding"] == ["advertising_no_spend"]


def test_the_reason_is_a_sentence_with_the_numbers_that_mattered() -> None:
    told = decide(forecast(), {"on_hand_units": 20, "ad_spend_cents": 500})["reason"]
    assert "20 are there or on the way" in told
    assert "mean demand is 50.0 a month" in told
    assert "advertising +20%" in told
    assert told.endswith(".")
    assert "Order nothing" in decide(forecast(), {"on_hand_units": 500})["reason"]
    assert "for 3 months" in decide(forecast(), {"lead_time_months": 2})["reason"]


def test_advertising_that_hardly_changes_stays_as_it_is() -> None:
    """Spend at the optimum: 1000 - 300 + 12 = 712, times 50 units, times .1."""
    answer = decide(forecast(), {"ad_spend_cents": 3_560, "on_hand_units": 500})
    assert abs(answer["advertising"]["change_share"]) < 0.005
    assert "advertising stays as it is" in answer["reason"]


def test_a_longer_lead_time_needs_less_than_the_multiple_of_a_month() -> None:
    one, three = (decide(forecast(), {"lead_time_months": lead})["stock"] for lead in (0, 2))
    assert 2 * one["stock_units"] < three["stock_units"] < 3 * one["stock_units"]


def test_impossible_numbers_pass_through() -> None:
    with pytest.raises(ImpossibleEconomics):
        decide(forecast(price_cents=None), {})


def test_errors_that_stay_over_months_ask_for_more_stock() -> None:
    three = {"lead_time_months": 2, "cost_cents": 200}
    apart = decide(forecast(), three)["stock"]
    together = decide(forecast(), three | {"month_correlation": 0.5})["stock"]
    one = decide(forecast(), {"cost_cents": 200})["stock"]
    assert apart["stock_units"] < together["stock_units"] <= 3 * one["stock_units"]


def test_the_reason_comes_in_turkish_with_the_same_numbers() -> None:
    answer = decide(forecast(), {"on_hand_units": 20, "ad_spend_cents": 500})
    told, stock = answer["reason_tr"], answer["stock"]
    assert f"{stock['order_units']} adet sipariş edin" in told
    assert f"elde {stock['available_units']} adet olur" in told
    assert "varsayılan esneklik" in told
    assert "3 ay için" in decide(forecast(), {"lead_time_months": 2})["reason_tr"]


def test_a_vague_product_takes_less_of_the_same_advice() -> None:
    sparse = [0.9, *[0.0] * 299, 0.1]
    clear, vague = (
        decide(forecast(probability_mass=mass), {"cost_cents": 100})["sizing"] for mass in (MASS, sparse)
    )
    assert clear["take_share"] == 1.0
    assert vague["take_share"] < 1.0
    assert vague["order_units"] == 0 or vague["order_units"] < 300


def test_the_sized_order_stays_in_packs() -> None:
    sparse = [0.5, *[0.0] * 99, 0.5]
    answer = decide(forecast(probability_mass=sparse), {"pack_units": 7, "cost_cents": 300})
    assert answer["sizing"]["order_units"] % 7 == 0
    assert answer["sizing"]["order_units"] < answer["stock"]["order_units"]
    least = decide(forecast(probability_mass=sparse), {"minimum_order_units": 100, "cost_cents": 300})
    assert least["sizing"]["order_units"] in (0, least["stock"]["order_units"])


def test_advertising_follows_the_products_own_months_where_they_say_something() -> None:
    spend = [1_000 + 500 * (k % 5) for k in range(24)]
    units = [30 + 0.02 * x for x in spend]
    answer = decide(forecast(), {"ad_spend_cents": 2_000}, ad_history=AdHistory(spend, units))
    assert answer["advertising"]["elasticity_source"] == "fitted"
    assert "own months" in answer["reason"]
    flat = decide(forecast(), {"ad_spend_cents": 2_000}, ad_history=AdHistory([2_000] * 24, units))
    assert flat["advertising"]["elasticity_source"] == "prior"


def test_scenarios_count_the_planned_advertising() -> None:
    """Expected: the profit of the stock, and what the change of advertising adds under both responses."""
    answer = decide(forecast(), {"ad_spend_cents": 500, "ad_elasticity": 0.1, "ad_elasticity_error": 0.0})
    gain = answer["advertising"]["expected_profit_change_cents"]
    expected = answer["stock"]["expected_profit_cents"] + gain
    assert gain > 0
    assert answer["scenarios"]["expected"]["profit_cents"] == pytest.approx(expected, abs=2)


def test_a_cautious_reason_says_what_counts() -> None:
    answer = decide(forecast(), {"cvar_share": 0.2, "goodwill_cents": 500})
    assert "the mean of the worst 20% of outcomes" in answer["reason"]
    assert "en kötü %20" in answer["reason_tr"]
    assert "talep 50,0 adet" in answer["reason_tr"]
    assert "reklam %+20," in decide(forecast(), {"ad_spend_cents": 500})["reason_tr"]
    assert decide(forecast(), {"on_hand_units": 50})["reason"].startswith("Order 1 unit to")
