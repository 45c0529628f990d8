"""Histories refuse what models could not read, and cutting never invents or loses a value."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.history import History
from tests.ml.small_history import small_shop


def test_cutting_at_a_month_keeps_all_products_and_only_earlier_months() -> None:
    shop = small_shop(products=12, months=10)
    past = shop.until(7)
    assert past.product_ids == shop.product_ids
    assert past.T == 7
    assert str(past.next_month) == "2024-08"
    np.testing.assert_array_equal(past.units, shop.units[:, :7])
    np.testing.assert_array_equal(past.extra["orders"], shop.extra["orders"][:, :7])


@pytest.mark.parametrize("at", [-1, 11])
def test_cutting_outside_the_months_is_refused(at: int) -> None:
    with pytest.raises(ValueError, match=f"cannot cut at {at}, there are 10 months"):
        small_shop(products=3, months=10).until(at)


@pytest.mark.parametrize(
    "chosen", [np.array([3, 1]), np.array([False, True, False, True, False])], ids=["positions", "mask"]
)
def test_rows_are_chosen_by_position_in_that_order_or_by_mask(chosen: NDArray[np.intp]) -> None:
    shop = small_shop(products=5, months=6)
    part = shop.rows(chosen)
    expected = [3, 1] if chosen.dtype != np.bool_ else [1, 3]
    assert part.product_ids == tuple(f"P{i:04d}" for i in expected)
    assert part.categories == tuple(shop.categories[i] for i in expected)
    np.testing.assert_array_equal(part.units, shop.units[expected])


def test_a_history_without_months_has_no_next_month() -> None:
    with pytest.raises(ValueError, match="without months"):
        _ = small_shop(products=2, months=6).until(0).next_month


def broken(shop: History) -> dict[str, tuple[History, dict[str, object]]]:
    hole, negative, infinite = shop.units.copy(), shop.units.copy(), shop.units.copy()
    hole[0, 4], negative[0, 4], infinite[0, 4] = np.nan, -1.0, np.inf
    return {
        "categories for": (shop, {"categories": ("a",)}),
        "units is int64": (shop, {"units": np.zeros((4, 8), dtype=np.int64)}),
        r"price_cents is float64 \(4, 2\)": (shop, {"price_cents": np.zeros((4, 2))}),
        r"unknown columns \['clicks'\]": (shop, {"extra": {"clicks": shop.units}}),
        "months are int64": (shop, {"months": np.arange(8)}),
        "not consecutive": (shop, {"months": shop.months[::-1]}),
        "missing after the first sale": (shop, {"units": hole}),
        "the smallest is -1.0": (shop, {"units": negative}),
        "must be finite": (shop, {"units": infinite}),
    }


@pytest.mark.parametrize("message", list(broken(small_shop(products=4, months=8))))
def test_what_is_not_a_panel_is_refused(message: str) -> None:
    shop, changes = broken(small_shop(products=4, months=8))[message]
    with pytest.raises(ValueError, match=message):
        replace(shop, **changes)  # type: ignore[arg-type]


def planned(plan: dict[str, list[list[float]]]) -> History:
    months = np.arange(np.datetime64("2026-01", "M"), np.datetime64("2026-03", "M"))
    arrays = {name: np.array(values) for name, values in plan.items()}
    return History(("a", "b"), ("x", "x"), months, np.ones((2, 2)), np.ones((2, 2)), plan=arrays)


def test_a_plan_reaches_to_the_month_to_forecast_and_is_cut_with_the_months() -> None:
    history = planned({"promotion": [[0.0, 1.0, 2.0], [3.0, 4.0, np.nan]]})
    assert history.until(1).plan["promotion"].tolist() == [[0.0, 1.0], [3.0, 4.0]]
    assert history.rows(np.array([1])).plan["promotion"][0, :2].tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    "plan",
    [
        {"promotion": [[0.0, 1.0], [3.0, 4.0]]},
        {"colour": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]},
        {"price_cents": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]},
        {"advertising": [[0.0, -1.0, 2.0], [3.0, 4.0, 5.0]]},
        {"advertising": [[0.0, np.inf, 2.0], [3.0, 4.0, 5.0]]},
    ],
    ids=["too short", "unknown", "free", "negative", "infinite"],
)
def test_an_impossible_plan_is_refused(plan: dict[str, list[list[float]]]) -> None:
    with pytest.raises(ValueError, match=r"plan|unknown|wanted"):
        planned(plan)
