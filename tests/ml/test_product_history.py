"""A product's history as it is sent: checked field by field, and the same months as training sees."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ml.product_history import ProductHistory, months_between, together
from tests.ml.small_history import small_shop


def sent(**changes: Any) -> dict[str, Any]:
    return {
        "product_id": " mug-1 ",
        "category": "kitchen",
        "first_month": "2025-10",
        "units": [3, 0, 5],
        "price_cents": [1000, None, 1100],
        "extra": {"orders": [2, 0, 4]},
        **changes,
    }


def test_months_before_the_first_sale_are_unknown_not_zero() -> None:
    history = together([ProductHistory.model_validate(sent())], months_between("2025-08", "2025-12"))
    assert history.product_ids == ("MUG-1",)
    assert np.array_equal(history.units, [[np.nan, np.nan, 3, 0, 5]], equal_nan=True)
    assert np.array_equal(history.price_cents, [[np.nan, np.nan, 1000, np.nan, 1100]], equal_nan=True)
    assert history.extra["orders"].tolist() == [[0, 0, 2, 0, 4]]


def test_units_alone_are_enough() -> None:
    alone = ProductHistory.model_validate({"product_id": "a", "first_month": "2025-12", "units": [1]})
    history = together([alone], months_between("2025-11", "2025-12"))
    assert history.categories == ("unknown",)
    assert np.isnan(history.price_cents).all()
    assert not history.extra


def test_every_row_of_a_shop_survives_being_sent() -> None:
    shop = small_shop()
    for row in range(shop.n):
        body = ProductHistory.of(shop, row).model_dump_json()
        again = together([ProductHistory.model_validate_json(body)], shop.months)
        own = shop.rows(np.array([row]))
        assert again.units.tobytes() == own.units.tobytes()
        assert np.array_equal(again.price_cents, own.price_cents, equal_nan=True)
        assert {k: v.tolist() for k, v in again.extra.items()} == {
            k: v.tolist() for k, v in own.extra.items()
        }


def test_a_shop_sent_together_is_the_shop() -> None:
    shop = small_shop()
    again = together([ProductHistory.of(shop, row) for row in range(shop.n)], shop.months)
    assert (again.product_ids, again.categories) == (shop.product_ids, shop.categories)
    assert again.units.tobytes() == shop.units.tobytes()
    assert np.array_equal(again.price_cents, shop.price_cents, equal_nan=True)
    assert {name: values.tolist() for name, values in again.extra.items()} == {
        name: values.tolist() for name, values in shop.extra.items()
    }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"units": []}, "at least 1 item"),
        ({"units": [1, -1, 0]}, "greater than or equal to 0"),
        ({"units": [1, float("inf"), 0]}, "finite number"),
        ({"units": [1, 2]}, "price_cents has 3 months, units has 2"),
        ({"extra": {"orders": [1]}}, "orders has 1 months, units has 3"),
        ({"extra": {"clicks": [1, 2, 3]}}, "'clicks' is not one of orders"),
        ({"price_cents": [0, 1, 1]}, "greater than 0"),
        ({"first_month": "2025-13"}, "match pattern"),
        ({"product_id": "  "}, "at least 1 character"),
        ({"units_sold": [1]}, "Extra inputs"),
        ({"units": [1] * 601, "price_cents": None, "extra": {}}, "at most 600 items"),
    ],
)
def test_what_cannot_be_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ProductHistory.model_validate(sent(**changes))


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        ("2025-01", "2026-01", "ends in 2025-12, this model forecasts from 2026-01"),
        ("2025-11", "2025-12", "begins in 2025-10, this model knows months from 2025-11"),
    ],
)
def test_other_months_than_the_models_are_refused(first: str, last: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        together([ProductHistory.model_validate(sent())], months_between(first, last))


def test_a_product_without_sales_has_no_history_to_send() -> None:
    shop = small_shop().until(3)
    unsold = int(np.flatnonzero(np.isnan(shop.units[:, -1]))[0])
    with pytest.raises(ValueError, match="has no month"):
        ProductHistory.of(shop, unsold)
