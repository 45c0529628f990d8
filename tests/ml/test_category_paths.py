"""Paths of categories: the season and trend that are there, none that are not, and what a Kalman filter says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ml import category_paths as module
from ml.category_paths import category_paths

Floats = NDArray[np.float64]
YEARS = np.arange(37) % 12


def seasonal(
    noise: float, swing: float = 0.4, growth: float = 0.01, categories: int = 40
) -> tuple[Floats, Floats]:
    """Units of 36 months and the expected units of 37, one category per row."""
    rng, time = np.random.default_rng(0), np.arange(37)
    peaks = rng.uniform(0, 12, (categories, 1))
    logs = 6 + growth * time + swing * np.cos(2 * np.pi * (time - peaks) / 12)
    units = np.exp(logs + noise * rng.standard_normal(logs.shape))
    return units[:, :-1], np.exp(logs)


def error_of_the_next(paths: Floats, truth: Floats) -> float:
    """Root mean square of the logarithm of what the next month is over the mean of the last twelve."""
    told, true = (np.log(each[:, -1] / each[:, -13:-1].mean(axis=1)) for each in (paths, truth))
    return float(np.sqrt(np.mean((told - true) ** 2)))


def test_a_season_with_a_trend_is_told_for_the_next_month() -> None:
    units, truth = seasonal(noise=0.05)
    assert error_of_the_next(category_paths(units, YEARS, 12), truth) < 0.05
    assert error_of_the_next(np.ones_like(truth), truth) > 0.2


def test_noise_is_not_taken_for_a_season() -> None:
    units, truth = seasonal(noise=0.2, swing=0.0, growth=0.0)
    paths = category_paths(units, YEARS, 12)
    assert error_of_the_next(paths, truth) < 0.08
    year_before = np.column_stack([units, units[:, -12]])
    assert error_of_the_next(year_before, truth) > 0.15


def test_less_than_two_seasons_tell_none() -> None:
    units, _ = seasonal(noise=0.0, growth=0.0)
    short = category_paths(units[:, :20], YEARS[:21], 12)
    other_season = category_paths(units[:, :20], np.arange(21) % 7, 20)
    np.testing.assert_array_equal(short, other_season)


def filtered(logs: Floats, step: float) -> float:
    """The level after the last month by a Kalman filter with a diffuse start and a noise of variance 1."""
    level, variance = logs[0], 1.0
    for value in logs[1:]:
        variance += step
        gain = variance / (variance + 1.0)
        level, variance = level + gain * (value - level), variance * (1.0 - gain)
    return float(level)


def test_a_wandering_level_is_that_of_the_kalman_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WANDERING", (0.3,))
    monkeypatch.setattr(module, "SLOPES", (0.0,))
    logs = np.cumsum(np.random.default_rng(1).standard_normal(15)) + 5
    paths = category_paths(np.exp(logs[np.newaxis]), np.arange(16) % 12, 12)
    assert np.log(paths[0, -1]) == pytest.approx(filtered(logs, 0.3), abs=1e-9)


def test_a_young_category_has_a_level_path_and_an_older_one_starts_with_its_sales() -> None:
    young = np.concatenate([np.zeros(21), [5.0, 0.0, 9.0]])
    older = np.concatenate([np.zeros(8), np.linspace(100, 300, 16)])
    paths = category_paths(np.stack([young, older, np.zeros(24)]), np.arange(25) % 12, 12)
    np.testing.assert_array_equal(paths[[0, 2]], 1.0)
    np.testing.assert_array_equal(paths[1, :8], paths[1, 8])
    np.testing.assert_allclose(paths[1, -1], 300, rtol=0.1)


def test_months_longer_ago_than_the_longest_window_do_not_count() -> None:
    units = np.random.default_rng(2).uniform(50, 100, (3, 80))
    other = np.column_stack([units[:, :20] * 7, units[:, 20:]])
    now, then = (category_paths(u, np.arange(81) % 12, 12) for u in (units, other))
    np.testing.assert_array_equal(now, then)
