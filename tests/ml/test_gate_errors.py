"""How often the gate errs, counted on forecasters of known quality; docs/gate.md has the numbers of `make soak`."""

import numpy as np
import pytest

from ml.gate import SMALLEST_ORIGINS
from tests.ml.simulated_trials import World, best_of_nine_promoted, tally

USUAL = World()
STORMY = World(by_month=0.06)
HARMFUL = {"": 0.88, "class 0": 1.1}
"""Better overall, worse in a quarter of the products."""

QUICK, WHOLE = 40, 400


def test_equal_forecasters_are_rarely_promoted() -> None:
    assert tally(USUAL, 1.0, 2 * QUICK, guarded=False).promoted <= 0.05


def test_ten_percent_less_loss_is_promoted() -> None:
    assert tally(USUAL, 0.9, QUICK, guarded=False).promoted >= 0.8


def test_ten_percent_more_loss_is_never_promoted() -> None:
    found = tally(USUAL, 1.1, QUICK, gain="cheaper", guarded=False)
    assert found.promoted == 0
    assert found.worse >= 0.8


def test_guardrails_leave_equal_forecasters_alone_and_stop_harm() -> None:
    assert tally(World(products=200), 1.0, QUICK // 2).harmed <= 0.05
    assert tally(World(products=10_000), HARMFUL, 2).refused == 1.0


def test_months_that_favour_one_forecaster_would_fool_a_percentile_of_the_draws() -> None:
    """The control: without Student's distribution the promise is broken where luck goes by the month."""
    fooled, stormy = 0, World(products=200, by_month=0.1)
    for seed in range(5 * QUICK):
        challenger, champion = stormy.trials(seed, 1.0)
        rng = np.random.default_rng(seed)
        months = rng.multinomial(stormy.months, np.full(stormy.months, 1 / stormy.months), 200)
        top, bottom = (months @ trial.losses.sum(axis=0) for trial in (challenger, champion))
        fooled += np.quantile(top / bottom, 0.975) < 1
    assert fooled / (5 * QUICK) > 0.05
    assert tally(stormy, 1.0, 5 * QUICK, guarded=False).promoted <= 0.05


@pytest.mark.soak
@pytest.mark.parametrize(
    "world",
    [USUAL, STORMY, World(by_month=0, shock=0), World(products=300), World(months=12)],
    ids=["usual", "stormy", "calm", "small", "a year"],
)
def test_equal_forecasters_are_promoted_at_most_once_in_twenty(world: World) -> None:
    found = tally(world, 1.0, WHOLE)
    assert found.promoted <= 0.05
    assert found.harmed <= 0.05


@pytest.mark.soak
def test_ten_percent_better_is_promoted_four_times_in_five() -> None:
    assert tally(USUAL, 0.9, WHOLE).promoted >= 0.8


@pytest.mark.soak
@pytest.mark.parametrize("world", [USUAL, STORMY, World(products=300), World(months=SMALLEST_ORIGINS)])
def test_ten_percent_worse_is_promoted_at_most_once_in_two_hundred(world: World) -> None:
    assert tally(world, 1.1, WHOLE, gain="cheaper").promoted <= 0.005


@pytest.mark.soak
def test_a_challenger_at_the_margin_rarely_counts_as_not_worse() -> None:
    close = World(by_product=0.02, by_month=0.002, by_pair=0.02, alike=0.9995)
    assert tally(close, 1.01, WHOLE, gain="cheaper").promoted <= 0.05


@pytest.mark.soak
def test_harm_to_one_class_is_refused_four_times_in_five() -> None:
    found = tally(World(products=10_000), HARMFUL, WHOLE)
    assert found.refused >= 0.8
    assert found.promoted <= 0.2


@pytest.mark.soak
def test_choosing_the_best_of_nine_equals_costs_no_more_than_promised() -> None:
    assert best_of_nine_promoted(USUAL, WHOLE) <= 0.05
