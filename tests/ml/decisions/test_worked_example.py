"""The numbers of docs/decisions.md are those of the code."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.decisions import Economics, decide
from ml.decisions.demand import Demand
from ml.decisions.portfolio import priority_list
from ml.dependence import Dependence

PAGE = (Path(__file__).parents[3] / "docs" / "decisions.md").read_text()
MASS = [0.10, 0.20, 0.30, 0.25, 0.15]
FORECAST = {
    "product_id": "MUG",
    "category": "kitchen",
    "month": "2026-12",
    "mean": 2.15,
    "probability_mass": MASS,
    "price_cents": 1000,
    "model_version": 1,
    "model_sha256": "5f" * 32,
    "data_version": "2026-11.0123456789ab",
    "calibration_id": "c" * 12,
    "risk_cuts": [0.5, 1.0],
}


def decided(**given: float) -> dict[str, Any]:
    return decide(FORECAST, given)


def test_the_dependence_of_two_products_in_two_months() -> None:
    found = Dependence.fit(np.array([[1.0, -1.0], [0.5, -0.5]]), ["kitchen", "garden"])
    assert found.shop == pytest.approx(0.8)
    assert (found.category, found.months) == (0.0, 0.0)


def test_stock_risk_and_scenarios() -> None:
    answer = decided()
    assert (answer["stock"]["stock_units"], answer["stock"]["critical_ratio"]) == (2, 0.5618)
    assert answer["stock"]["expected_profit_cents"] == 515
    assert answer["risk"]["cost_at_risk"] == pytest.approx(800 / (400 * 3.15), abs=1e-4)
    assert answer["risk"]["level"] == "Medium"
    assert [entry["profit_cents"] for entry in answer["scenarios"].values()] == [-624, 515, 800]
    assert answer["sizing"]["take_share"] == 1.0
    assert "515.2" in PAGE
    assert "624, 515, 800" in PAGE


def test_packs_lead_time_and_caution() -> None:
    packs = decided(pack_units=3)
    assert (packs["stock"]["order_units"], packs["stock"]["expected_profit_cents"]) == (3, 488)
    assert "pack_size" in packs["binding"]
    assert decided(lead_time_months=1, month_correlation=0)["stock"]["stock_units"] == 5
    assert Demand(np.array(MASS)).over(2).reached[:6] == pytest.approx([0.01, 0.05, 0.15, 0.32, 0.54, 0.75])
    assert decided(cvar_share=0.5)["stock"]["stock_units"] == 1
    assert "0.01, 0.05, 0.15, 0.32, 0.54, 0.75" in PAGE


def test_the_next_units() -> None:
    mug = Economics.of({}, 1000)
    steps = priority_list([Demand(np.array(MASS))], [mug])
    assert steps.reward_cents == pytest.approx([328.8, 186.4])
    assert steps.reward_per_cent == pytest.approx([0.548, 0.311], abs=5e-4)
    assert "328.8, 186.4, then" in PAGE


def test_advertising() -> None:
    plan = decided(on_hand_units=4, ad_spend_cents=100)["advertising"]
    assert (plan["spend_cents"], plan["elasticity_source"]) == (112, "prior")
    assert plan["change_share"] + 1 == pytest.approx((712 * 1.55 * 0.1 / 100) ** (1 / 0.9), abs=1e-4)
    assert "112 cents" in PAGE
