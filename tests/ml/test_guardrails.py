"""Each guardrail stops what it is there for, and nothing that is only off by chance."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ml.guardrails import OVERALL, Guardrail, Limits, affordable, check
from ml.trial import Cost, Trial
from tests.ml.simulated_trials import World

WORLD = World(products=400)
SEED = 3


def pair() -> tuple[Trial, Trial]:
    challenger, champion = WORLD.trials(SEED, 1.0)
    return challenger, champion


def failed(challenger: Trial, champion: Trial) -> list[tuple[str, str]]:
    found = check(challenger, champion, WORLD.parts(challenger.counted))
    return [(each.kind, each.part) for each in found if not each.passed]


def found(guardrails: Sequence[Guardrail], kind: str, part: str) -> Guardrail:
    return next(each for each in guardrails if (each.kind, each.part) == (kind, part))


def moved(trial: Trial, share: float, part: str | None = None) -> Trial:
    """The trial with all forecasts higher by a share of the sales, overall or in a part."""
    member = dict(WORLD.parts(trial.counted)).get(part or "", trial.counted)
    higher = np.where(member, share * trial.actual, 0.0)
    return replace(trial, mean=trial.mean + higher, quantiles=trial.quantiles + higher[..., np.newaxis])


def test_equal_forecasters_pass_and_everything_was_looked_at() -> None:
    challenger, champion = pair()
    looked = check(challenger, champion, WORLD.parts(challenger.counted))
    assert all(each.passed for each in looked)
    parts = [name for name, _ in WORLD.parts(challenger.counted)]
    assert [each.part for each in looked if each.kind == "loss"] == parts
    assert [each.part for each in looked if each.kind == "bias"] == [OVERALL, *parts]


def test_values_are_plain_counts_of_the_part() -> None:
    challenger, champion = pair()
    parts = WORLD.parts(challenger.counted)
    looked = check(challenger, champion, parts)
    name, mask = parts[0]
    ratio = challenger.losses[mask].sum() / champion.losses[mask].sum()
    assert found(looked, "loss", name).value == pytest.approx(ratio)
    bias = (challenger.mean[mask].sum() - challenger.actual[mask].sum()) / challenger.actual[mask].sum()
    assert found(looked, "bias", name).value == pytest.approx(abs(bias))
    gaps = []
    for level, place in ((0.05, 0), (0.1, 1), (0.9, 5), (0.95, 6)):
        quantile = challenger.quantiles[mask][:, place]
        gaps += [
            np.mean(challenger.actual[mask] < quantile) - level,
            level - np.mean(challenger.actual[mask] <= quantile),
        ]
    assert found(looked, "calibration", name).value == pytest.approx(max(0.0, *gaps))


def test_a_part_that_is_harmed_is_found() -> None:
    _, champion = pair()
    harmed = dict(WORLD.parts(champion.counted))["class 1"]
    wide = replace(champion, quantiles=np.where(harmed[..., np.newaxis], 1.5, 1.0) * champion.quantiles)
    assert ("loss", "class 1") in failed(wide, champion)
    assert ("loss", "class 0") not in failed(wide, champion)


def test_three_percent_more_loss_in_a_part_is_no_harm_however_sure() -> None:
    _, champion = pair()
    for factor, harmed in ((1.029, False), (1.031, True)):
        worse = replace(champion)
        worse.__dict__["losses"] = champion.losses * factor
        assert (("loss", "class 1") in failed(worse, champion)) == harmed


def test_bias_is_found_overall_and_in_a_part() -> None:
    challenger, champion = pair()
    assert ("bias", OVERALL) in failed(moved(challenger, 0.3), champion)
    in_part = failed(moved(challenger, 0.5, "category 2"), champion)
    assert ("bias", "category 2") in in_part
    assert ("bias", "category 3") not in in_part


def test_the_limits_of_bias_are_three_and_ten_percent() -> None:
    """A forecaster that is off by the same share everywhere is off without doubt."""
    _, champion = pair()
    exact = replace(
        champion, mean=champion.actual, quantiles=np.repeat(champion.actual[..., np.newaxis], 8, 2)
    )
    biased = {share: failed(moved(exact, share), exact) for share in (-0.029, 0.031, 0.099, -0.101)}
    assert {share: ("bias", OVERALL) in each for share, each in biased.items()} == {
        -0.029: False,
        0.031: True,
        0.099: True,
        -0.101: True,
    }
    assert {share: ("bias", "class 0") in each for share, each in biased.items()} == {
        -0.029: False,
        0.031: False,
        0.099: False,
        -0.101: True,
    }


def test_a_bias_that_the_champion_has_too_does_not_refuse_a_better_model() -> None:
    challenger, champion = pair()
    assert ("bias", OVERALL) not in failed(moved(challenger, 0.3), moved(champion, 0.35))
    assert ("bias", OVERALL) in failed(moved(challenger, 0.4), moved(champion, 0.35))


def test_a_bias_of_one_month_is_not_sure() -> None:
    challenger, champion = pair()
    for months, surely in ((1, False), (6, True)):
        off = np.zeros(champion.actual.shape)
        off[:, :months] = 2.0 / months * champion.actual[:, :months]
        assert (
            ("bias", OVERALL) in failed(replace(challenger, mean=challenger.mean + off), champion)
        ) == surely


@pytest.mark.parametrize("width", [0.6, 1.6])
def test_intervals_that_are_too_narrow_or_too_wide_are_found(width: float) -> None:
    challenger, champion = pair()
    middle = challenger.mean[..., np.newaxis]
    squeezed = replace(challenger, quantiles=middle + width * (challenger.quantiles - middle))
    refused = failed(squeezed, champion)
    assert ("calibration", OVERALL) in refused
    assert {part for kind, part in refused if kind == "calibration"} > {OVERALL}


def test_parts_of_few_products_months_or_forecasts_are_not_tested() -> None:
    challenger, champion = pair()
    small, short = np.zeros((2, *challenger.counted.shape), dtype=np.bool_)
    small[:29], short[:, :2] = True, True
    looked = check(challenger, champion, [("small", small), ("short", short)])
    assert {each.part for each in looked if each.kind != "sanity"} == {OVERALL}
    middle = np.zeros(challenger.counted.shape, dtype=np.bool_)
    middle[:83] = True
    looked = check(challenger, champion, [("middle", middle)])
    assert [each.kind for each in looked if each.part == "middle"] == ["loss", "bias"]


def test_a_part_where_nothing_was_sold_or_missed_refuses_nothing() -> None:
    _, champion = pair()
    nothing = np.zeros(champion.actual.shape)
    none = replace(champion, actual=nothing, mean=nothing, quantiles=np.zeros((*nothing.shape, 8)))
    assert failed(none, none) == []


def test_without_a_forecast_that_counts_nothing_is_looked_at() -> None:
    _, champion = pair()
    none = replace(champion, counted=np.zeros_like(champion.counted))
    assert check(none, none, []) == ()


def test_an_answer_that_is_missing_or_broken_refuses() -> None:
    challenger, champion = pair()
    broken = replace(challenger, faults={"missing or not finite": 1, "negative": 0, "crossing": 2})
    assert failed(broken, champion) == [("sanity", "missing or not finite"), ("sanity", "crossing")]


def test_a_model_may_cost_what_the_limits_say_and_no_more() -> None:
    limits = Limits(fit_seconds=10, memory_bytes=1e9, score_p95_seconds=0.1)
    assert all(each.passed for each in affordable(Cost(10, 1e9, 0.1), limits))
    dear = affordable(Cost(10.1, 1e9, 0.2), limits)
    assert [each.part for each in dear if not each.passed] == ["fit_seconds", "score_p95_seconds"]
