"""Economics: what is filled in, what is marked, what is refused."""

import pytest

from ml.decisions.economics import Defaults, Economics
from ml.errors import ImpossibleEconomics


def economics(**given: float | None) -> Economics:
    return Economics.of({"price_cents": 1000, **given}, None)


def test_missing_numbers_come_from_the_defaults_and_are_marked() -> None:
    filled = Economics.of({"price_cents": 1000, "goodwill_cents": 30}, None)
    assert (filled.cost_cents, filled.salvage_cents, filled.holding_cents) == (600, 300, 12)
    assert not filled.defaulted & {"price_cents", "goodwill_cents"}
    assert {"cost_cents", "salvage_cents", "holding_cents", "ad_elasticity"} <= filled.defaulted


def test_the_usual_price_stands_in_for_a_price_and_is_marked() -> None:
    filled = Economics.of({}, 250)
    assert filled.price_cents == 250
    assert "price_cents" in filled.defaulted


def test_none_is_the_same_as_not_given() -> None:
    assert Economics.of({"price_cents": 1000, "cost_cents": None}, None) == economics()


def test_a_shop_can_bring_its_own_defaults() -> None:
    assert Economics.of({"price_cents": 1000}, None, Defaults(cost_share_of_price=0.25)).cost_cents == 250


def test_the_critical_ratio_is_worked_by_hand() -> None:
    """Too few cost 400 + 20, too many 600 - 500 + 5: 420 / 525 = 0.8."""
    worked = economics(cost_cents=600, salvage_cents=500, holding_cents=5, goodwill_cents=20)
    assert (worked.underage_cents, worked.overage_cents) == (420, 105)
    assert worked.critical_ratio == pytest.approx(0.8)


def test_even_a_product_of_one_cent_has_a_decision() -> None:
    assert 0 < Economics.of({}, 1).critical_ratio < 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"price_cents": 500, "cost_cents": 500}, "price_cents 500 is not above cost_cents 500"),
        ({"cost_cents": 600, "salvage_cents": 601}, "salvage_cents 601 is above cost_cents 600"),
        ({"salvage_cents": 600, "holding_cents": 0}, "a unit left over costs nothing"),
        ({"holding_cents": -1}, "holding_cents is -1"),
        ({"on_hand_units": 10**13}, "on_hand_units is 10000000000000"),
        ({"on_hand_units": 1.5}, "on_hand_units is 1.5; give a whole number"),
        ({"goodwill_cents": float("nan")}, "goodwill_cents is nan"),
        ({"lead_time_months": -1}, "lead_time_months is -1"),
        ({"lead_time_months": 12}, "lead time plus review is 13 months"),
        ({"review_months": 0}, "lead time plus review is 0 months"),
        ({"ad_elasticity": 1.0}, "ad_elasticity is 1.0"),
        ({"discount": 3}, "'discount' is not an input"),
    ],
)
def test_impossible_numbers_are_named(given: dict[str, float], told: str) -> None:
    with pytest.raises(ImpossibleEconomics, match=told):
        economics(**given)


def test_without_any_price_it_says_which_number_is_missing() -> None:
    with pytest.raises(ImpossibleEconomics, match="price_cents is missing"):
        Economics.of({}, None)
