"""What a reviewer reads of a training: recounted forecast by forecast."""

import json
from collections import defaultdict
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from ml.demand_class import CLASSES, demand_class
from ml.distribution import LEVELS
from ml.evaluation import Backtest, backtest
from ml.models import CANDIDATES
from ml.papers import calibration, segments
from ml.segments import MOST_CATEGORIES, OTHERS
from tests.ml.small_history import small_shop

SHOP = small_shop(products=60, months=24, seed=5)
KINDS = ("demand class", "category")


@pytest.fixture(scope="module")
def tested() -> Backtest:
    return backtest(SHOP, {name: CANDIDATES[name] for name in ("naive", "ses")}, seed=0)


def forecasts(tested: Backtest) -> list[tuple[int, int, int]]:
    """Product, place of the origin and month index of every forecast that counts."""
    return [
        (row, k, t)
        for k, t in enumerate(tested.origins)
        for row in range(tested.history.n)
        if tested.eligible[row, k]
    ]


def test_calibration_counts_the_outcomes_inside_each_interval(tested: Backtest) -> None:
    inside = defaultdict(list)
    for row, k, t in forecasts(tested):
        quantiles = dict(zip(LEVELS, tested.predictions["ses"][k].levels[row], strict=True))
        for level, low, high in ((0.5, 0.25, 0.75), (0.8, 0.1, 0.9), (0.9, 0.05, 0.95)):
            inside[level].append(quantiles[low] <= SHOP.units[row, t] <= quantiles[high])
    paper = calibration(tested, "ses")
    assert paper["observations"] == len(forecasts(tested))
    assert (paper["first_month"], paper["last_month"]) == ("2025-07", "2025-12")
    assert {each["level"]: each["covered"] for each in paper["intervals"]} == pytest.approx(
        {level: fmean(found) for level, found in inside.items()}
    )


def test_segments_are_the_mean_losses_of_each_part(tested: Backtest) -> None:
    losses = {name: tested.losses(name) for name in ("ses", "naive")}
    parts = defaultdict(list)
    for row, k, t in forecasts(tested):
        pair = losses["ses"][row, k], losses["naive"][row, k]
        kind = CLASSES[demand_class(SHOP.until(t))[row]]
        parts["demand class", kind].append(pair)
        parts["category", SHOP.categories[row]].append(pair)
    paper = segments(tested, "ses", "naive")
    assert paper["against"] == "naive"
    found = {(row["kind"], row["name"]): row for row in paper["rows"] if row["kind"] in KINDS}
    assert set(found) == set(parts)
    for key, pairs in parts.items():
        ours, theirs = (fmean(column) for column in zip(*pairs, strict=True))
        row = found[key]
        assert (row["observations"], row["challenger"], row["champion"]) == pytest.approx(
            (len(pairs), ours, theirs), abs=1e-6
        )
        assert row["ratio"] == pytest.approx(ours / theirs, abs=1e-6)


def test_sizes_are_thirds_of_the_forecasts_by_what_a_product_sells(tested: Backtest) -> None:
    rows = {row["name"]: row for row in segments(tested, "ses", "naive")["rows"] if row["kind"] == "size"}
    total = len(forecasts(tested))
    assert set(rows) == {"small", "middle", "large"}
    assert sum(row["observations"] for row in rows.values()) == total
    assert all(abs(row["observations"] / total - 1 / 3) < 0.1 for row in rows.values())


def test_a_shop_of_many_categories_shows_the_largest_by_name(tested: Backtest) -> None:
    many = replace(SHOP, categories=tuple(f"c{row % 20:02d}" for row in range(SHOP.n)))
    paper = segments(replace(tested, history=many), "ses", "naive")
    names = [row["name"] for row in paper["rows"] if row["kind"] == "category"]
    assert len(names) == MOST_CATEGORIES + 1
    assert OTHERS in names


def test_a_champion_without_loss_leaves_no_ratio(tested: Backtest) -> None:
    perfect = [
        replace(prediction, quantiles=np.repeat(SHOP.units[:, [t]], len(LEVELS), axis=1))
        for t, prediction in zip(tested.origins, tested.predictions["naive"], strict=True)
    ]
    paper = segments(replace(tested, predictions={**tested.predictions, "naive": perfect}), "ses", "naive")
    assert {(row["champion"], row["ratio"]) for row in paper["rows"]} == {(0.0, None)}


def test_without_a_forecast_that_counts_the_papers_are_empty_and_json(tested: Backtest) -> None:
    nothing = replace(tested, eligible=np.zeros_like(tested.eligible))
    assert segments(nothing, "ses", "naive")["rows"] == []
    paper = json.loads(json.dumps(calibration(nothing, "ses"), allow_nan=False))
    assert paper["observations"] == 0
    assert [each["covered"] for each in paper["intervals"]] == [None, None, None]
