"""The gate finds what is there, promotes nothing by chance, and says why it cannot decide."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.gate import decide
from ml.guardrails import OVERALL, Guardrail

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Rows = tuple[Floats, Floats, Ints, Ints]


def world(seed: int, effect: float, products: int = 150, months: int = 6) -> Rows:
    """Losses of two procedures on hard and easy products and months; the first times `effect`.

    Each has errors of its own per row, product and month.
    """
    rng = np.random.default_rng(seed)
    shape = (products, months)
    base = np.exp(rng.normal(0, 0.5, (products, 1)) + rng.normal(0, 0.1, (1, months))) * rng.gamma(
        2, 0.5, shape
    )
    row, month = np.indices(shape)

    def procedure() -> Floats:
        own = (
            rng.normal(0, 0.15, shape) + rng.normal(0, 0.05, (products, 1)) + rng.normal(0, 0.01, (1, months))
        )
        return (base * np.exp(own)).ravel()

    return effect * procedure(), procedure(), row.ravel(), month.ravel()


def test_an_identical_procedure_is_exactly_as_good() -> None:
    losses, _, rows, months = world(0, 1.0)
    verdict = decide(losses, losses.copy(), rows, months, seed=1)
    assert (verdict.ratio, verdict.lower, verdict.upper) == (1.0, 1.0, 1.0)
    assert verdict.answer == "not_better"


def test_not_worse_is_enough_only_with_a_gain() -> None:
    losses, _, rows, months = world(0, 1.0)
    fresher = decide(losses * 1.004, losses, rows, months, seed=1, gain="fresher")
    assert (fresher.answer, fresher.upper < 1.01) == ("non_inferior", True)
    assert "and the model is fresher" in fresher.reasons[0]
    assert decide(losses * 1.004, losses, rows, months, seed=1).answer == "worse"
    assert decide(losses * 1.02, losses, rows, months, seed=1, gain="fresher").answer == "worse"


def test_the_ratio_is_that_of_summed_losses() -> None:
    challenger, champion, rows, months = world(3, 0.95)
    verdict = decide(challenger, champion, rows, months, seed=1)
    assert verdict.ratio == pytest.approx(float(np.sum(challenger)) / float(np.sum(champion)))
    assert verdict.lower < verdict.ratio < verdict.upper
    assert (verdict.observations, verdict.series, verdict.origins) == (900, 150, 6)


def test_the_same_seed_gives_the_same_verdict() -> None:
    rows = world(3, 0.95)
    assert decide(*rows, seed=5) == decide(*rows, seed=5)
    assert decide(*rows, seed=5) != decide(*rows, seed=6)


def test_months_that_are_off_for_all_products_widen_the_interval() -> None:
    """A bootstrap over products alone would be sure of what rests on six months."""
    challenger, champion, rows, months = world(3, 1.0)
    shaken = challenger * np.exp(np.random.default_rng(0).normal(0, 0.3, 6))[months]
    calm = decide(challenger, champion, rows, months, seed=1)
    stormy = decide(shaken, champion, rows, months, seed=1)
    assert stormy.upper - stormy.lower > 2 * (calm.upper - calm.lower)


def test_a_wide_interval_that_holds_one_does_not_decide() -> None:
    verdict = decide(*world(11, 1.0), seed=1)
    assert verdict.answer == "not_enough_data"
    assert verdict.lower < 1
    assert verdict.upper > 1.01
    assert "too wide to see a difference of 2%" in verdict.reasons[0]
    assert not verdict.decided


def test_a_narrow_interval_that_holds_one_decides_against_the_challenger() -> None:
    losses, _, rows, months = world(0, 1.0)
    close = losses * np.exp(np.random.default_rng(3).normal(0, 0.05, len(losses)))
    verdict = decide(close, losses, rows, months, seed=1)
    assert verdict.lower < 1 < verdict.upper
    assert verdict.answer == "not_better"
    assert verdict.decided


@pytest.mark.parametrize(("effect", "answer"), [(0.9, "refused"), (1.1, "worse")])
def test_a_guardrail_refuses_what_would_pass_and_is_named(effect: float, answer: str) -> None:
    kept = Guardrail("bias", "overall", 0.02, 0.03, 0.01, 1.0, passed=True)
    broken = Guardrail("bias", "category toys", 0.2, 0.1, 0.01, 0.001, passed=False)
    assert decide(*world(1, 0.9), seed=1, guardrails=(kept,)).answer == "better"
    verdict = decide(*world(1, effect), seed=1, guardrails=(kept, broken))
    assert verdict.answer == answer
    assert verdict.guardrails == (kept, broken)
    named = "bias guardrail, category toys: 0.2, at most 0.1 allowed (p = 0.001 over all parts)"
    assert verdict.reasons[1:] == (named,)


def test_a_doubtful_bias_does_not_refuse_and_is_told() -> None:
    doubtful = Guardrail("bias", OVERALL, 0.05, 0.03, 0.01, 0.3, passed=True)
    verdict = decide(*world(1, 0.9), seed=1, guardrails=(doubtful,))
    assert verdict.answer == "better"
    assert verdict.reasons[1].startswith("bias guardrail, overall: 0.05, at most 0.03 allowed (p = 0.3")
    assert "may be chance" in verdict.reasons[1]


def refused() -> dict[str, Rows]:
    challenger, champion, rows, months = world(0, 0.9)
    few, short = rows < 29, months < 2
    broken = champion.copy()
    broken[7] = np.nan
    return {
        "29 products were tested, 30 are needed": (challenger[few], champion[few], rows[few], months[few]),
        "2 months were tested, 3 are needed": (
            challenger[short],
            champion[short],
            rows[short],
            months[short],
        ),
        "1 of 900 losses of the champion are not finite": (challenger, broken, rows, months),
        "0 months were tested, 3 are needed": (challenger[:0], champion[:0], rows[:0], months[:0]),
        "the champion has no loss at all": (challenger, np.zeros(900), rows, months),
    }


@pytest.mark.parametrize("reason", list(refused()))
def test_it_stays_closed_and_says_why(reason: str) -> None:
    verdict = decide(*refused()[reason], seed=1)
    assert verdict.answer == "not_enough_data"
    assert any(text.startswith(reason) for text in verdict.reasons)
    assert np.isnan(verdict.ratio)


def test_just_enough_products_and_months_decide() -> None:
    challenger, champion, rows, months = world(0, 0.7)
    use = (rows < 30) & (months < 3)
    assert decide(challenger[use], champion[use], rows[use], months[use], seed=1).answer == "better"


def test_rows_that_do_not_pair_are_refused() -> None:
    challenger, champion, rows, months = world(0, 1.0)
    with pytest.raises(ValueError, match=r"differ in length: \[899, 900, 900, 900\]"):
        decide(challenger[1:], champion, rows, months, seed=1)
