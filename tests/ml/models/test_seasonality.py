"""Seasons are found where there are some, by plain decomposition, for any length."""

import numpy as np
import pytest

from ml.models.seasonality import is_seasonal, seasonal_indices, seasonally_adjusted
from tests.ml.models.series import SHAPE, seasonal_series, series


def test_a_season_is_found_after_two_years_and_not_before() -> None:
    december = [100.0] * 11 + [300.0]
    assert is_seasonal(series(december * 2).units, 12).tolist() == [True]
    assert is_seasonal(series((december * 2)[1:]).units, 12).tolist() == [False]
    noise = np.random.default_rng(1).normal(100, 10, (40, 36))
    assert np.mean(is_seasonal(noise, 12)) < 0.2


def test_indices_of_a_clean_season_are_its_shape() -> None:
    units, season = series(seasonal_series(3)).units, np.arange(36) % 12
    np.testing.assert_allclose(seasonal_indices(units, season, 12, multiplicative=True)[0], SHAPE, rtol=1e-9)
    offsets = seasonal_indices(units, season, 12, multiplicative=False)[0]
    np.testing.assert_allclose(offsets, 100 * np.array(SHAPE) - 100, atol=1e-9)


@pytest.mark.parametrize("season", [4, 7, 13, 52])
def test_indices_of_any_season_are_its_shape(season: int) -> None:
    shape = 1.0 + 0.4 * np.sin(2 * np.pi * np.arange(season) / season)
    units = np.tile(50 * shape, 6)[np.newaxis]
    phases = np.arange(6 * season) % season
    assert is_seasonal(units, season).tolist() == [True]
    np.testing.assert_allclose(
        seasonal_indices(units, phases, season, multiplicative=True)[0], shape, rtol=1e-9
    )


def test_a_season_longer_than_half_of_the_history_is_no_season() -> None:
    assert is_seasonal(np.ones((3, 20)), 52).tolist() == [False] * 3
    assert is_seasonal(np.ones((3, 20)), 1).tolist() == [False] * 3


@pytest.mark.parametrize("zero", [0.0, 60.0], ids=["multiplied", "added"])
def test_what_is_left_without_the_season_is_flat(zero: float) -> None:
    adjusted = seasonally_adjusted(series(seasonal_series(4, zero)))
    assert adjusted.seasonal.tolist() == [True]
    np.testing.assert_allclose(adjusted.units, 100 - zero, rtol=1e-9)
    assert (100 - zero) * adjusted.factor[0] + adjusted.offset[0] == pytest.approx(100 * SHAPE[0] - zero)
