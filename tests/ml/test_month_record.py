"""Month statistics: worked by hand, and kept through storage."""

import math

import numpy as np
import pytest

from ml.distribution import Prediction
from ml.history import History
from ml.month_record import SMALLEST_GROUP, MonthRecord, log_ratio, month_statistics

N = 20
QUANTILES = np.tile([1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0], (N, 1))
EVERYONE = np.ones(N, dtype=bool)


def history(actual: list[float]) -> History:
    units = np.column_stack([np.full(N, 5.0), actual])
    return History(
        product_ids=tuple(f"P{i}" for i in range(N)),
        categories=("big",) * (N - 2) + ("small",) * 2,
        months=np.array(["2025-01", "2025-02"], dtype="datetime64[M]"),
        units=units,
        price_cents=np.full(units.shape, 100.0),
    )


def statistics(actual: list[float], counted: np.ndarray = EVERYONE) -> dict[str, float]:
    return month_statistics(history(actual), 1, Prediction(np.full(N, 6.0), QUANTILES), counted)


def test_each_number_is_worked_by_hand() -> None:
    """Half sold 6, the median: rank (3 + .5) / 8. Half sold 20: above all 8 quantiles and outside 2 to 10."""
    found = statistics([6.0, 20.0] * (N // 2))
    assert found["shop:volume"] == pytest.approx(math.log((10 * 26 + 1) / (N * 6 + 1)))
    assert found["shop:rank"] == pytest.approx((3.5 / 8 + 1) / 2)
    assert found["shop:outside"] == 0.5


def test_small_categories_have_no_line_of_their_own() -> None:
    assert {name.partition(":")[0] for name in statistics([6.0] * N)} == {"shop", "category big"}


def test_products_that_do_not_count_or_are_unknown_are_left_out() -> None:
    counted = EVERYONE.copy()
    counted[0] = False
    with_one_unknown = [1e6, 6.0, *[6.0] * (N - 2)]
    assert statistics(with_one_unknown, counted)["shop:volume"] == pytest.approx(0.0)


def test_too_few_products_say_nothing() -> None:
    counted = np.arange(N) < SMALLEST_GROUP - 1
    assert statistics([6.0] * N, counted) == {}


def test_nothing_against_nothing_is_no_change() -> None:
    assert log_ratio(0.0, 0.0) == 0.0
    assert log_ratio(199.0, 99.0) == pytest.approx(math.log(2))


def test_it_survives_storage_in_the_order_of_months() -> None:
    months = np.array(["2025-03", "2025-01"], dtype="datetime64[M]")
    record = MonthRecord.of(
        {months[0]: {"shop:rank": 0.5}, months[1]: {"shop:rank": 0.4, "shop:outside": 0.2}}
    )
    again = MonthRecord.from_state(record.state())
    assert [str(month) for month in again.months] == ["2025-01", "2025-03"]
    assert again.values["shop:rank"].tolist() == [0.4, 0.5]
    assert np.array_equal(again.values["shop:outside"], [0.2, np.nan], equal_nan=True)


def test_an_empty_record_survives_too() -> None:
    again = MonthRecord.from_state(MonthRecord.of({}).state())
    assert len(again.months) == 0
    assert again.values == {}
