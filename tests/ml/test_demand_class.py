"""Classes of demand on one made-up product each."""

import numpy as np
import pytest

from ml.demand_class import CLASSES, demand_class
from ml.history import History

NAN = float("nan")
PRODUCTS: dict[str, list[float]] = {
    "smooth": [5, 6, 5, 4, 5, 6, 5, 4, 5, 5, 6, 4, 5, 5],
    "erratic": [1, 40, 2, 1, 35, 1, 2, 50, 1, 2, 1, 30, 1, 2],
    "intermittent": [5, 0, 5, 0, 5, 0, 0, 5, 0, 5, 0, 5, 0, 0],
    "lumpy": [1, 0, 40, 0, 1, 0, 0, 50, 0, 1, 0, 30, 0, 0],
    "new": [NAN] * 9 + [5, 6, 5, 4, 5],
    "dormant": [5, 3, *[0] * 12],
}


def history(rows: list[list[float]]) -> History:
    units = np.array(rows, dtype=float)
    months = np.arange(np.datetime64("2024-01", "M"), np.datetime64("2024-01", "M") + units.shape[1])
    ids = tuple(f"P{i}" for i in range(len(rows)))
    return History(ids, ("any",) * len(rows), months, units, np.full(units.shape, np.nan))


@pytest.mark.parametrize("name", CLASSES)
def test_each_class_has_its_product(name: str) -> None:
    assert CLASSES[demand_class(history([PRODUCTS[name]]))[0]] == name


def test_the_limits_are_those_of_the_paper() -> None:
    # 33 months with 25 sales are one sale in 1.32 months, 33 with 24 are above it
    at_limit = [4.0, 6.0] * 12 + [5.0] + [0.0] * 8
    above = [4.0, 6.0] * 12 + [0.0] * 9
    assert demand_class(history([at_limit, above])).tolist() == [
        CLASSES.index("smooth"),
        CLASSES.index("intermittent"),
    ]
    # sizes m - d and m + d have a squared variation of (d / m)^2; 0.7^2 is the limit
    below, beyond = [3.1, 16.9] * 10, [2.9, 17.1] * 10
    assert demand_class(history([below, beyond])).tolist() == [
        CLASSES.index("smooth"),
        CLASSES.index("erratic"),
    ]


def test_a_product_without_any_month_is_new() -> None:
    assert demand_class(history([[NAN] * 14])).tolist() == [CLASSES.index("new")]
