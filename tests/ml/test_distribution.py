"""A row of eight quantiles is a whole distribution: its parts agree with each other and with integrals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml.distribution import (
    LEVELS,
    TAIL_SHARE,
    Prediction,
    cdf,
    expectation,
    last_units,
    masses,
    mean_of,
    pmf,
    ppf,
    share_up_to,
    tidy,
)

Floats = NDArray[np.float64]

rows = st.lists(st.integers(0, 400), min_size=8, max_size=8).map(
    lambda v: np.sort(np.array(v, dtype=float)) / 2
)
EXAMPLE = np.array([0.0, 0.0, 0.0, 2.0, 4.0, 8.0, 10.0, 20.0])


@given(rows)
def test_the_quantile_function_goes_through_the_given_quantiles(row: Floats) -> None:
    np.testing.assert_allclose(ppf(row, np.array(LEVELS)), row, rtol=1e-12, atol=1e-12)


@given(rows, st.floats(0.001, 0.9999))
def test_the_quantile_is_the_smallest_value_that_reaches_its_share(row: Floats, share: float) -> None:
    value = float(ppf(row, np.array(share)))
    assert float(cdf(row, np.array(value + 1e-6))) >= share - 1e-9
    assert value == 0 or float(cdf(row, np.array(value - 1e-6))) <= share + 1e-9


@given(rows)
def test_the_distribution_function_rises_from_0_to_1(row: Floats) -> None:
    shares = cdf(row, np.linspace(-1.0, 5_000.0, 4_000))
    assert shares[0] == 0.0
    assert np.all(np.diff(shares) >= 0)
    assert 0.99 <= shares[-1] <= 1.0


def test_quantiles_of_zero_are_a_mass_at_zero() -> None:
    assert float(cdf(EXAMPLE, np.array(0.0))) == 0.25
    assert float(cdf(EXAMPLE, np.array(-1e-9))) == 0.0
    assert float(cdf(EXAMPLE, np.array(1.0))) == 0.375  # half way from the 25 % to the 50 % quantile


def test_the_upper_tail_falls_exponentially_through_the_last_two_quantiles() -> None:
    # from 5 % beyond 10 to 1 % beyond 20 is a factor of five in ten units, so 0.2 % lie beyond 30
    assert float(cdf(EXAMPLE, np.array(30.0))) == pytest.approx(1 - 0.002)
    assert float(ppf(EXAMPLE, np.array(1 - 0.002))) == pytest.approx(30.0)


def test_the_lower_tail_is_cut_at_zero() -> None:
    row = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    # from 10 % below 2 to 5 % below 1 is a factor of two in one unit, so 2.5 % are at 0
    assert float(cdf(row, np.array(0.0))) == pytest.approx(0.025)
    assert float(ppf(row, np.array(0.01))) == 0.0


@settings(deadline=None)
@given(rows)
def test_the_mean_is_the_integral_of_the_quantile_function(row: Floats) -> None:
    edges = np.linspace(0, 1, 200_001)
    middle = (edges[1:] + edges[:-1]) / 2
    assert float(mean_of(row[np.newaxis])[0]) == pytest.approx(
        float(np.mean(ppf(row, middle))), rel=1e-3, abs=1e-3
    )


@given(rows)
def test_probabilities_of_units_sum_to_one_and_keep_the_mean(row: Floats) -> None:
    probabilities = pmf(row)
    assert np.all(probabilities >= 0)
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)
    assert float(cdf(row, np.array(len(probabilities) - 0.5))) >= 1 - TAIL_SHARE
    assert expectation(row, lambda units: units) == pytest.approx(
        float(mean_of(row[np.newaxis])[0]), rel=1e-3, abs=1e-3
    )


@settings(deadline=None, max_examples=30)
@given(st.lists(rows, max_size=6), st.integers(0, 2))
def test_a_mass_has_the_same_bits_alone_and_in_company(several: list[Floats], giants: int) -> None:
    """Giants of half a million units make blocks of their own."""
    table = np.array([*several, *(EXAMPLE * 25_000 for _ in range(giants))]).reshape(-1, len(LEVELS))
    made = masses(table)
    assert len(made) == len(table)
    for row, mass in zip(table, made, strict=True):
        assert mass.tobytes() == pmf(row).tobytes()


@given(rows)
def test_beyond_the_last_unit_less_than_the_tails_share_is_left(row: Floats) -> None:
    (last,) = last_units(row[np.newaxis]).tolist()
    assert 1 - float(cdf(row, np.array(last))) <= TAIL_SHARE * (1 + 1e-6)
    assert (
        last == 0 or 1 - float(cdf(row, np.array(last - 1.0))) >= TAIL_SHARE * (1 - 1e-6) or last == row[-1]
    )


def test_a_value_between_two_units_is_shared_between_them() -> None:
    np.testing.assert_allclose(pmf(np.full(8, 2.25)), [0.0, 0.0, 0.75, 0.25], atol=1e-9)


@settings(deadline=None)
@given(rows.map(np.round))
def test_masses_at_whole_units_stay_there(row: Floats) -> None:
    probabilities = pmf(row)
    for unit in np.unique(row):
        levels = np.array(LEVELS)[row == unit]
        assert probabilities[int(unit)] >= levels[-1] - levels[0] - 1e-9


@settings(max_examples=25)
@given(rows)
def test_probabilities_of_units_are_means_of_the_distribution_function(row: Floats) -> None:
    grid = (np.arange(400_000) + 0.5) / 1_000  # up to 400 units, a thousand steps each
    means = cdf(row, grid).reshape(400, 1_000).mean(axis=1)
    sums = np.cumsum(pmf(row))
    size = min(len(sums), 400)
    np.testing.assert_allclose(sums[:size], means[:size], atol=2e-3)


def test_an_expectation_is_over_whole_units() -> None:
    certain = np.full(8, 3.0)
    assert pmf(certain).tolist() == [0.0, 0.0, 0.0, 1.0]
    assert expectation(certain, lambda units: units**2) == 9.0


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_outside_of_0_and_1_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        ppf(EXAMPLE, np.array([0.5, share]))


def test_tidy_quantiles_are_not_negative_and_do_not_cross() -> None:
    row = tidy(np.array([[-2.0, 3.0, 1.0, 2.0, 4.0, 5.0, 7.0, 6.0]]))
    assert row.tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]]


def test_a_point_forecast_has_no_quantiles_to_read() -> None:
    with pytest.raises(ValueError, match="before calibration"):
        _ = Prediction(np.ones(2), None).levels


def test_the_share_of_one_value_is_that_of_the_array() -> None:
    random = np.random.default_rng(5)
    for scale in (0.0, 0.3, 4.0, 500.0):
        for row in tidy(random.normal(scale, scale, (200, len(LEVELS))).round(random.integers(0, 3))):
            asked = np.concatenate([row, random.uniform(-1, 3 * scale + 2, 12)])
            one = [share_up_to(row.tolist(), units) for units in asked.tolist()]
            assert np.allclose(one, cdf(row, asked), rtol=0, atol=1e-14)


def test_masses_of_no_rows_are_none() -> None:
    assert masses(np.empty((0, len(LEVELS)))) == []
