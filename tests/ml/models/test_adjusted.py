"""Adjusted models know the season of their category; without paths they are the model inside."""

from dataclasses import replace

import numpy as np

from ml.evaluation import backtest
from ml.features import category_totals
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models.adjusted import AdjustedDiscountedMean, AdjustedQuantileTrees, AdjustedTweedieTrees
from ml.models.boosting import TweedieTrees
from ml.models.discounted import DiscountedMean
from tests.ml.known_processes import negative_binomials
from tests.ml.small_plan import planned_shop


def rmsse(history: History) -> tuple[float, float]:
    """Of the adjusted and of the plain mean in the last three months."""
    models = {"adjusted": AdjustedDiscountedMean, "plain": DiscountedMean}
    table = backtest(history, models, seed=0, test_origins=3).table()
    adjusted, plain = (float(row["rmsse"] or 0.0) for row in table)
    return adjusted, plain


def test_the_season_of_a_category_makes_the_mean_better_and_no_season_not_worse() -> None:
    adjusted, plain = rmsse(negative_binomials(150, 36, seed=2).history)
    assert adjusted < 0.93 * plain
    adjusted, plain = rmsse(negative_binomials(150, 36, seed=2, season=False).history)
    assert adjusted < 1.01 * plain


def test_rows_of_trees_are_adjusted_at_every_origin() -> None:
    history = negative_binomials(60, 30, seed=3).history
    cached = Hindcasts(history, 0)
    plain, adjusted = cached.training_rows(30, 10_000), cached.adjusted(1.0).training_rows(30, 10_000)
    np.testing.assert_array_equal(adjusted.units, plain.units)
    assert np.mean(adjusted.size != plain.size) > 0.8
    same = cached.adjusted(0.0).training_rows(30, 10_000)
    np.testing.assert_array_equal(same.features, plain.features)


def test_without_paths_the_trees_forecast_as_those_inside() -> None:
    history = negative_binomials(60, 30, seed=3).history
    model = AdjustedTweedieTrees.fit(history, 0)
    totals = category_totals(history)
    silent = replace(totals, paths=None)
    np.testing.assert_array_equal(
        model.predict(history, silent).mean, model.model.predict(history, silent).mean
    )
    assert np.any(model.predict(history, totals).mean != model.predict(history, silent).mean)


def test_a_plan_leaves_the_past_as_it_was() -> None:
    shop, _ = planned_shop()
    assert category_totals(shop).paths is None
    adjusted, plain = AdjustedTweedieTrees.fit(shop, 0), TweedieTrees.fit(shop, 0)
    np.testing.assert_array_equal(
        adjusted.predict(shop, category_totals(shop)).mean, plain.predict(shop, category_totals(shop)).mean
    )


def test_names_say_what_is_inside() -> None:
    assert AdjustedQuantileTrees.name == "adjusted_lightgbm_quantile"
    assert AdjustedQuantileTrees.uncertainty == "quantiles"
    assert AdjustedQuantileTrees.family == "boosting"
