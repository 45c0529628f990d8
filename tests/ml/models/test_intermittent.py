"""TSB against a plain loop, and what it is for: a product that stopped selling fades out."""

import numpy as np
import pytest

from ml.models.intermittent import WEIGHTS, TeunterSyntetosBabai
from tests.ml.models.series import series

NAN = float("nan")


def loop(values: list[float]) -> float:
    sales = [value for value in values if value > 0]
    best, found = float("inf"), NAN
    for chance_weight, size_weight in WEIGHTS:
        chance, size, error = len(sales) / len(values), sum(sales) / len(sales), 0.0
        for value in values:
            error += (value - chance * size) ** 2
            chance += chance_weight * ((value > 0) - chance)
            if value > 0:
                size += size_weight * (value - size)
        if error < best - 1e-9:
            best, found = error, chance * size
    return found


def test_it_equals_a_plain_loop_for_each_series() -> None:
    rng = np.random.default_rng(0)
    rows = [list((rng.random(20) < 0.4) * rng.poisson(6, 20) + 0.0) for _ in range(20)]
    found = TeunterSyntetosBabai().point(series(*rows))
    for i, row in enumerate(rows):
        assert found[i] == pytest.approx(loop(row))


def test_months_before_the_first_sale_do_not_matter() -> None:
    row = [5.0, 0.0, 0.0, 4.0, 0.0]
    assert TeunterSyntetosBabai().point(series([NAN] * 5 + row)) == TeunterSyntetosBabai().point(series(row))


def test_a_product_that_stopped_selling_fades_out() -> None:
    regular = [6.0, 0.0] * 8
    selling, stopped = (
        TeunterSyntetosBabai().point(series(regular + tail)) for tail in ([6.0, 0.0] * 4, [0.0] * 8)
    )
    assert stopped[0] < 0.5 * selling[0]


def test_a_product_that_never_sold_is_forecast_as_zero() -> None:
    shop = series([NAN, NAN], [1, 0])
    prediction = TeunterSyntetosBabai().predict(shop, categories=None)  # type: ignore[arg-type]
    assert prediction.mean[0] == 0.0
