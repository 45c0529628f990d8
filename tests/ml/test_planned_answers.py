"""What a plan does to answers: said in them, the same live and in the snapshot, and counted only where learned."""

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pytest

from ml.bundle import Bundle, unpack
from ml.history import History
from ml.product_history import Plan, ProductHistory, together
from ml.snapshot import Snapshot, snapshot_bytes
from tests.ml.small_models import bundle_bytes, small_bundle
from tests.ml.small_plan import planned_shop, without_plan

NOW = datetime(2026, 1, 4, tzinfo=UTC)
CANDIDATES = ("blend", "mix", "lightgbm_tweedie")
PROMOTED, GAPS, BEFORE_SALE, UNPLANNED, NEVER = range(5)
"""Rows of the shop: as the others; months without a plan; a plan before the first sale; none next; none at all."""


@cache
def shop() -> History:
    """Products with all that a plan can lack."""
    made, _ = planned_shop(products=20, months=14)
    plan = {name: values.copy() for name, values in made.plan.items()}
    plan["promotion"][PROMOTED, -1] = 1.0
    plan["advertising"] = np.where(plan["promotion"] > 0, 50_000.0, 0.0)
    for values in plan.values():
        values[GAPS, 3:9:2] = np.nan
        values[UNPLANNED, -1] = np.nan
        values[NEVER] = np.nan
    plan["shop_price"] = np.tile(np.linspace(1.0, 1.2, made.T + 1), (made.n, 1))
    units = made.units.copy()
    units[BEFORE_SALE, :8] = np.nan
    units[BEFORE_SALE, 8] = 5.0
    price = np.where(np.isnan(units), np.nan, made.price_cents)
    return replace(made, units=units, price_cents=price, plan=plan)


@cache
def bundle(candidate: str, *, planned: bool = True) -> Bundle:
    return small_bundle(shop() if planned else without_plan(shop()), candidate)


@cache
def snapshot(candidate: str, *, planned: bool = True) -> Snapshot:
    made = bundle(candidate, planned=planned)
    return Snapshot.from_bytes(snapshot_bytes(made, 3, "2025-02.0123456789ab", shop(), NOW), made.sha256)


def sent(row: int, **changes: Any) -> ProductHistory:
    own = ProductHistory.of(shop(), row).model_dump(mode="json")
    return ProductHistory.model_validate_json(json.dumps(own | changes))


def live(candidate: str, row: int, **changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        snapshot(candidate).live(bundle(candidate)).answer(sent(row, **changes))
    )
    return answer


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_a_live_answer_has_the_bits_of_the_snapshot_for_the_same_plan(candidate: str) -> None:
    served = snapshot(candidate).live(bundle(candidate))
    for row, product in enumerate(shop().product_ids[:8]):
        assert served.answer(sent(row)) == snapshot(candidate).get(product), row


def test_an_answer_says_the_plan_it_was_made_with() -> None:
    answers = [json.loads(snapshot("blend").get(product)) for product in shop().product_ids]
    planned = answers[PROMOTED]["plan"]
    assert planned["price_cents"] == shop().plan["price_cents"][PROMOTED, -1]
    assert (planned["promotion"], planned["advertising_cents"], planned["used"]) == (1.0, 50_000.0, True)
    _, lift = bundle("blend").predictor.response.split(shop())  # type: ignore[union-attr]
    assert planned["lift"] == round(float(lift[PROMOTED]), 4)
    assert [answers[row]["plan"] for row in (UNPLANNED, NEVER)] == [None, None]


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_another_plan_gives_another_answer(candidate: str) -> None:
    price = float(shop().plan["price_cents"][GAPS, -1])
    dear, cheap = (
        live(candidate, GAPS, plan={"price_cents": price * k, "promotion": 0.0}) for k in (1.0, 0.7)
    )
    assert cheap["plan"]["lift"] > 1.5 * dear["plan"]["lift"]
    assert cheap["mean"] > 1.3 * dear["mean"]
    assert live(candidate, GAPS, plan=None)["plan"] is None


def test_without_a_past_plan_the_months_count_as_sold_at_their_price_without_promotion() -> None:
    history = {"past_plan": None, "plan": {"price_cents": 500.0, "promotion": 1.0}}
    prices = ProductHistory.of(shop(), PROMOTED).price_cents or []
    spelled = [{"price_cents": price, "promotion": 0.0} for price in prices]
    short, long = (
        live("blend", PROMOTED, **history),
        live("blend", PROMOTED, **(history | {"past_plan": spelled})),
    )
    assert short == long
    assert (
        short["plan"]["lift"]
        != live("blend", PROMOTED, **(history | {"plan": {"price_cents": 500.0}}))["plan"]["lift"]
    )


def test_a_plan_for_a_model_that_learned_no_response_is_stated_and_changes_nothing() -> None:
    blind = snapshot("blend", planned=False).live(bundle("blend", planned=False))
    told, untold = (
        json.loads(blind.answer(sent(PROMOTED, plan=plan))) for plan in ({"promotion": 1.0}, None)
    )
    assert told.pop("plan") == {
        "price_cents": None,
        "promotion": 1.0,
        "advertising_cents": None,
        "used": False,
        "lift": None,
    }
    assert untold.pop("plan") is None
    assert told == untold


def test_an_answer_without_any_plan_has_the_numbers_of_before() -> None:
    """A model that learned from plans, asked without: as if the fields had never been."""
    plain = without_plan(shop())
    made = bundle("blend", planned=False)
    data = snapshot_bytes(made, 3, "2025-02.0123456789ab", plain, NOW)
    header = json.loads(data.splitlines()[1])
    assert "shop_plan" not in header
    assert "planned_prices" not in header["category_totals"]
    own = ProductHistory.of(plain, GAPS)
    assert (own.plan, own.past_plan) == (None, None)
    assert together([own], plain.months).plan == {}
    assert not {"plan", "past_plan"} & own.model_dump().keys(), "what a service of before would refuse"
    assert "plan" not in json.loads(data.splitlines()[2])


def test_a_snapshot_of_before_plans_is_still_served() -> None:
    lines = snapshot_bytes(bundle("blend"), 3, "2025-02.0123456789ab", without_plan(shop()), NOW)
    old = Snapshot.from_bytes(lines, bundle("blend").sha256)
    assert not old.live(bundle("blend")).shop_plan
    answer = old.live(bundle("blend")).answer(ProductHistory.of(without_plan(shop()), GAPS))
    assert answer == old.get(shop().product_ids[GAPS])


def test_a_release_that_knows_nothing_of_plans_is_told_to_refuse_the_bundle() -> None:
    for planned, critical in ((True, ["planned"]), (False, None)):
        data = bundle_bytes(shop() if planned else without_plan(shop()), "ses")
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            fields = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
        assert (fields.get("planned"), fields.get("critical")) == (planned or None, critical)
        assert unpack(data, hashlib.sha256(data).hexdigest()).manifest.planned == planned


def test_every_plan_of_a_row_survives_being_sent() -> None:
    for row in range(shop().n):
        again = together(
            [sent(row)], shop().months, {name: values[0] for name, values in shop().plan.items()}
        )
        for name in shop().plan:
            own = shop().planned(name) if name != "shop_price" else shop().plan[name]
            np.testing.assert_array_equal(again.plan[name], own[row : row + 1])
    assert Plan.of(without_plan(shop()), 0, 3) is None
