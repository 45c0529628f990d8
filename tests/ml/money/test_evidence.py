"""Money of challenger and champion beside each other: the same forecasts earn the same, worse ones less."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ml.distribution import Prediction
from ml.evaluation import Backtest, backtest
from ml.models import CANDIDATES
from ml.money.evidence import money_papers
from ml.money.past_forecasts import PastForecasts
from ml.money.policies import distribution
from scripts.evidence.papers import MONEY, Money
from tests.ml.small_history import small_shop

SPOILT, GOOD = "spoilt", "ses"


@pytest.fixture(scope="module")
def tested() -> Backtest:
    """A candidate, and the same with a fifth of its demand."""
    made = backtest(small_shop(products=80, months=24, seed=3), {GOOD: CANDIDATES[GOOD]}, seed=1)
    fifth = [Prediction(each.mean / 5, each.levels / 5) for each in made.predictions[GOOD]]
    return replace(made, predictions={GOOD: made.predictions[GOOD], SPOILT: fifth})


def paper(tested: Backtest, challenger: str, champion: str) -> Money:
    return Money.model_validate(json.loads(money_papers(tested, challenger, champion, 1)[MONEY]))


def test_what_spoils_the_forecast_is_seen_as_surely_less_money(tested: Backtest) -> None:
    worse, better = paper(tested, SPOILT, GOOD), paper(tested, GOOD, SPOILT)
    assert (worse.against, better.against) == (GOOD, SPOILT)
    for down, up in zip(worse.margins, better.margins, strict=True):
        assert down.gain is not None
        assert down.upper is not None
        assert down.gain <= down.upper < 0
        assert up.gain == pytest.approx(-down.gain)
        assert (up.challenger, up.champion) == (down.champion, down.challenger)


def test_the_same_forecasts_earn_the_same(tested: Backtest) -> None:
    for margin in paper(tested, GOOD, GOOD).margins:
        assert (margin.gain, margin.lower, margin.upper) == (0.0, 0.0, 0.0)
        assert margin.challenger == margin.champion


def test_the_gain_is_the_difference_of_the_profits_by_hand(tested: Backtest) -> None:
    ours, theirs = (PastForecasts.of_backtest(tested, name) for name in (SPOILT, GOOD))
    for margin in paper(tested, SPOILT, GOOD).margins:
        earned = [
            sum(
                margin.ratio * min(y, s) - (1 - margin.ratio) * max(s - y, 0)
                for y, s in zip(past.actual.tolist(), distribution(past, margin.ratio).tolist(), strict=True)
            )
            for past in (ours, theirs)
        ]
        assert margin.gain == pytest.approx((earned[0] - earned[1]) / (margin.ratio * ours.actual.sum()))


def test_a_large_portfolio_is_sampled_alike_for_both(tested: Backtest) -> None:
    few = [PastForecasts.of_backtest(tested, name, most=100) for name in (SPOILT, GOOD)]
    assert 0 < len(few[0].actual) <= 100 < int(tested.eligible.sum())
    assert few[0].series.tolist() == few[1].series.tolist()


def test_where_nothing_counts_or_nothing_was_sold_there_is_no_paper(tested: Backtest) -> None:
    assert money_papers(replace(tested, eligible=np.zeros_like(tested.eligible)), GOOD, GOOD, 1) == {}
    units = tested.history.units.copy()
    units[:, list(tested.origins)] = 0.0
    assert money_papers(replace(tested, history=replace(tested.history, units=units)), GOOD, GOOD, 1) == {}


def test_the_picture_shows_both(tested: Backtest) -> None:
    assert bytes(money_papers(tested, SPOILT, GOOD, 1)["money.png"]).startswith(b"\x89PNG")  # type: ignore[arg-type]
