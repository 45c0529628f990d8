"""The model card: its numbers recounted forecast by forecast, from the text as it stands in the bundle."""

import re
from collections import defaultdict
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from ml.card import model_card
from ml.distribution import LEVELS
from ml.evaluation import Backtest, backtest
from ml.models import CANDIDATES
from ml.papers import by_month_and_class
from tests.ml.small_history import small_shop

SHOP = small_shop(products=60, months=24, seed=5)
FACTS = {"seed": "0"}


@pytest.fixture(scope="module")
def tested() -> Backtest:
    return backtest(SHOP, {name: CANDIDATES[name] for name in ("naive", "ma3", "ses")}, seed=0)


def card_of(tested: Backtest) -> str:
    paper = by_month_and_class(tested, "ses")
    return model_card(tested, paper, title="Model card: ses", facts=FACTS, command="make it")


def rows(card: str, heading: str) -> dict[str, list[str]]:
    """Cells of the table whose first column is called so, by first cell."""
    lines = card[card.index(f"| {heading} |") :].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


def percent(cell: str) -> float:
    return float(cell.removesuffix(" %")) / 100


def outcomes(tested: Backtest) -> list[tuple[float, list[float], int]]:
    """Units, quantiles and origin of every forecast that counts."""
    return [
        (float(SHOP.units[row, t]), tested.predictions["ses"][k].levels[row].tolist(), k)
        for k, t in enumerate(tested.origins)
        for row in range(SHOP.n)
        if tested.eligible[row, k]
    ]


def test_coverage_and_levels_are_those_of_the_forecasts(tested: Backtest) -> None:
    card, found = card_of(tested), outcomes(tested)
    for interval, low, high in (("50.0 %", 0.25, 0.75), ("80.0 %", 0.1, 0.9), ("90.0 %", 0.05, 0.95)):
        i, j = LEVELS.index(low), LEVELS.index(high)
        covered = fmean(row[i] <= units <= row[j] for units, row, _ in found)
        assert percent(rows(card, "interval")[interval][0]) == pytest.approx(covered, abs=5e-4)
    levels = rows(card, "level")
    for i, level in enumerate(LEVELS):
        shares = fmean(u < row[i] for u, row, _ in found), fmean(u <= row[i] for u, row, _ in found)
        assert tuple(map(percent, levels[f"{level:g}"])) == pytest.approx(shares, abs=5e-4)


def test_the_pit_histogram_is_that_of_randomised_ranks(tested: Backtest) -> None:
    """Drawing a point inside each outcome's mass many times gives the histogram that spreads it evenly."""
    rng, places = np.random.default_rng(0), []
    for units, row, _ in outcomes(tested):
        tops = np.interp([units - 0.5, units + 0.5], *_line(row), left=0.0, right=1.0)
        if units == 0:
            tops[0] = 0.0
        places.append(rng.uniform(tops[0], tops[1], 400))
    counted = np.histogram(np.concatenate(places), bins=10, range=(0, 1))[0] / (400 * len(places))
    told = card_of(tested).split("10 % each if right: ")[1].split(".\n")[0].split(", ")
    assert [percent(cell) for cell in told] == pytest.approx(counted, abs=0.004)
    assert np.ptp(counted) > 0.004, "the control: a flat histogram would not tell"


def _line(row: list[float]) -> tuple[list[float], list[float]]:
    """Units and shares of a distribution function through the quantiles, its tails drawn point by point."""
    below = [row[0] - (row[1] - row[0]) * np.log(0.05 / s) / np.log(2) for s in np.geomspace(1e-9, 0.05, 400)]
    above = [
        row[-1] + (row[-1] - row[-2]) * np.log(0.01 / (1 - s)) / np.log(5)
        for s in 1 - np.geomspace(0.01, 1e-9, 400)
    ]
    shares = [*np.geomspace(1e-9, 0.05, 400)[:-1], *LEVELS, *(1 - np.geomspace(0.01, 1e-9, 400))[1:]]
    points = np.array([*below[:-1], *row, *above[1:]])
    return (points + 1e-9 * np.arange(len(points))).tolist(), shares


def test_months_and_baselines_stand_beside_each_other(tested: Backtest) -> None:
    months = rows(card_of(tested), "period")
    losses = defaultdict(list)
    for k, t in enumerate(tested.origins):
        for name in ("ses", "naive", "ma3"):
            losses[str(SHOP.months[t])].append(float(np.nanmean(tested.losses(name)[:, k])))
    assert list(months) == list(losses)
    for month, wanted in losses.items():
        assert [float(cell) for cell in months[month][1:4]] == pytest.approx(wanted, abs=5e-4)
    inside = defaultdict(list)
    for units, row, k in outcomes(tested):
        inside[str(SHOP.months[tested.origins[k]])].append(row[1] <= units <= row[5])
    for month, found in inside.items():
        assert percent(months[month][-1]) == pytest.approx(fmean(found), abs=5e-4)


def test_it_says_what_it_is_of_what_data_and_how_to_make_it_again(tested: Backtest) -> None:
    card = card_of(tested)
    assert card.startswith("# Model card: ses\n\n`ses`, family ")
    headings = re.findall(r"^## (.*)$", card, re.MULTILINE)
    assert headings == [
        *("Data", "How good it was", "Calibration", "Segments", "Limits", "How to make it again")
    ]
    assert "24, 2024-01 to 2025-12" in card
    assert card.endswith("    make it\n")
    assert set(rows(card, "candidate")) == {"**ses**", "naive", "ma3"}


def test_the_same_backtest_gives_the_same_bytes(tested: Backtest) -> None:
    again = backtest(SHOP, tested.candidates, seed=0)
    assert card_of(again) == card_of(tested)


def test_a_backtest_that_judges_nothing_has_a_card_without_numbers(tested: Backtest) -> None:
    nothing = replace(tested, eligible=np.zeros_like(tested.eligible))
    card = card_of(nothing)
    assert "0 forecasts" in card
    assert rows(card, "level")["0.5"] == ["-", "-"]
    assert "nan" not in card
