"""Dispersions of single products: found where months tell, usual where they do not."""

import numpy as np
import pytest

from ml.own_dispersion import ALIKE, OwnMonths
from tests.ml.models.series import series

EVERY = np.ones(400, dtype=np.bool_)


def drawn(dispersions: np.ndarray[tuple[int], np.dtype[np.float64]], months: int) -> OwnMonths:
    size = 1.0 / dispersions[:, np.newaxis]
    rng = np.random.default_rng(0)
    return OwnMonths.of(
        series(*rng.negative_binomial(size, size / (size + 40.0), (len(size), months)).astype(float).tolist())
    )


def factors(months: OwnMonths) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    usual, variance = months.spread(EVERY)
    return months.factors(np.full(400, usual), np.full(400, variance))


def test_the_estimate_is_that_of_moments() -> None:
    # mean 4, variance 18 with one degree of freedom less: (18 - 4) / 16
    assert OwnMonths.of(series([1.0, 7.0])).estimate[0] == pytest.approx(14 / 16)


def test_many_months_tell_steady_products_from_lively_ones() -> None:
    found = factors(drawn(np.repeat([0.05, 0.5], 200), 200))
    assert np.median(found[:200]) == pytest.approx(0.05 / 0.275, abs=0.1)
    assert np.median(found[200:]) == pytest.approx(0.5 / 0.275, rel=0.1)


def test_products_that_are_alike_stay_nearly_usual_and_few_months_say_nothing() -> None:
    alike, apart = (factors(drawn(d, 24)) for d in (np.full(400, 0.3), np.repeat([0.05, 0.5], 200)))
    assert np.std(alike) < 0.25 * np.std(apart)
    np.testing.assert_array_equal(factors(drawn(np.repeat([0.05, 0.5], 200), 5)), 1.0)


def test_a_bundle_that_kept_nothing_has_usual_products() -> None:
    months = drawn(np.repeat([0.05, 0.5], 200), 24)
    usual, variance = (np.full(400, value) for value in ALIKE)
    np.testing.assert_array_equal(months.factors(usual, variance), 1.0)
