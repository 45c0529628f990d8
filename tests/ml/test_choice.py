"""Which recipe is trained next, and what the gate says of it."""

import json
from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import pytest

from ml.choice import choose
from ml.evaluation import Backtest, backtest
from ml.guardrails import Limits
from ml.history import Floats
from ml.models import CANDIDATES
from ml.models.base import Model
from ml.models.reference import SeedRecipe
from tests.ml.small_history import small_shop

SHOP = small_shop(products=120, months=24, seed=3)
QUICK: Mapping[str, type[Model]] = {
    name: CANDIDATES[name] for name in ("naive", "seasonal_naive", "ma3", "ses")
}
SEED = 7


@pytest.fixture(scope="module")
def tested() -> Backtest:
    return backtest(SHOP, QUICK, seed=SEED)


@pytest.fixture(scope="module")
def many() -> Backtest:
    """Enough products that `seasonal_naive` is surely worse than the best."""
    return backtest(small_shop(products=300, months=24, seed=3), QUICK, seed=SEED)


def test_a_champions_recipe_that_is_beaten_makes_way(many: Backtest) -> None:
    choice = choose(many, "seasonal_naive", None, SEED)
    assert (choice.outcome, choice.against, choice.verdict.answer) == (
        "new_recipe",
        "seasonal_naive",
        "better",
    )
    assert choice.candidate != "seasonal_naive"
    assert choice.promotable


def test_a_recipe_that_is_only_a_little_better_does_not_replace_the_champion(tested: Backtest) -> None:
    close = min(
        ("ma3", "ses"), key=lambda name: abs(_loss(tested, name) - min(_loss(tested, n) for n in QUICK))
    )
    other = "ses" if close == "ma3" else "ma3"
    choice = choose(tested, other, None, SEED)
    assert (choice.candidate, choice.outcome, choice.against) == (other, "refreshed", "naive")
    assert choice.contest is not None
    assert choice.contest[0] == close
    assert choice.contest[1].answer != "better"


def test_a_forced_recipe_is_judged_against_the_champions(many: Backtest) -> None:
    choice = choose(many, "ses", "seasonal_naive", SEED)
    assert (choice.candidate, choice.outcome, choice.against) == ("seasonal_naive", "forced", "ses")
    assert choice.verdict.ratio > 1
    assert not choice.promotable


def test_the_last_month_has_no_say_in_the_choice(tested: Backtest) -> None:
    """The worst candidate would win by its losses in the last month alone, and does by those in another."""
    worst = max(QUICK, key=lambda name: _loss(tested, name))
    assert choose(_lucky(tested, worst, month=-1), None, None, SEED).candidate != worst
    assert choose(_lucky(tested, worst, month=0), None, None, SEED).candidate == worst


def test_a_yardstick_is_shown_but_never_chosen() -> None:
    shop = SHOP.until(14)
    tested = backtest(shop, {"naive": CANDIDATES["naive"], SeedRecipe.name: SeedRecipe}, seed=SEED)
    assert [row["candidate"] for row in tested.table()] == ["naive", SeedRecipe.name]
    assert choose(tested, None, None, SEED).candidate == "naive"


def test_a_first_model_must_be_better_than_naive(tested: Backtest) -> None:
    alone = backtest(tested.history, {"naive": CANDIDATES["naive"]}, seed=SEED)
    first = choose(alone, None, None, SEED)
    assert (first.candidate, first.outcome, first.verdict.ratio, first.promotable) == (
        "naive",
        "first",
        1.0,
        False,
    )


def test_a_champion_whose_recipe_no_longer_exists_is_like_none(tested: Backtest) -> None:
    lost, none = choose(tested, "crystal_ball", None, SEED), choose(tested, None, None, SEED)
    assert (lost.candidate, lost.outcome, lost.against) == (none.candidate, none.outcome, none.against)
    assert lost.verdict.ratio == none.verdict.ratio


def test_a_decision_uses_its_months_up(many: Backtest) -> None:
    first = choose(many, None, None, SEED)
    assert first.used_until == str(many.history.months[-1]) == "2025-12"
    assert first.to_json()["used_until"] == "2025-12"
    again = choose(many, "seasonal_naive", None, SEED, used_until=first.used_until)
    assert again.outcome == "refreshed"
    assert again.contest is not None
    assert again.contest[1].answer == "not_enough_data"
    assert again.contest[1].reasons == (
        "0 months were tested, 3 are needed",
        "0 products were tested, 30 are needed",
        "months up to 2025-12 were used by an earlier decision and do not count again",
    )
    assert again.used_until == "2025-12"


def test_only_months_after_the_last_decision_judge_the_next(many: Backtest) -> None:
    choice = choose(many, "seasonal_naive", None, SEED, used_until="2025-09")
    judged = choice.verdict if choice.contest is None else choice.contest[1]
    best = choice.candidate if choice.contest is None else choice.contest[0]
    ours, theirs = (many.losses(name)[:, 3:] for name in (best, "seasonal_naive"))
    assert judged.origins == 3
    assert judged.ratio == pytest.approx(np.nansum(ours) / np.nansum(theirs))
    assert judged.witnesses is not None
    assert judged.witnesses.months == ("2025-10", "2025-11", "2025-12")


def test_a_refresh_is_judged_by_all_months_and_uses_none(tested: Backtest) -> None:
    best = choose(tested, None, None, SEED).candidate
    choice = choose(tested, best, None, SEED, used_until="2025-11")
    assert (choice.outcome, choice.contest) == ("refreshed", None)
    assert choice.verdict.origins == 6
    assert choice.used_until == "2025-11"


def test_a_contest_that_was_lost_uses_its_months_up_too(tested: Backtest) -> None:
    """The best by a month that lies is worse in the months that judge it."""
    lucky = _lucky(tested, "seasonal_naive", month=0)
    choice = choose(lucky, "ses", None, SEED)
    assert (choice.candidate, choice.outcome) == ("ses", "refreshed")
    assert choice.contest is not None
    assert (choice.contest[0], choice.contest[1].answer) == ("seasonal_naive", "worse")
    assert choice.used_until == "2025-12"


def test_a_champion_that_a_simple_recipe_beats_raises_an_alarm(many: Backtest) -> None:
    stays = choose(many, "seasonal_naive", None, SEED, used_until="2025-12")
    ratio = np.nanmean(many.losses("seasonal_naive")) / np.nanmean(many.losses("ma3"))
    alarm = f"alarm: the champion's recipe seasonal_naive has {ratio:.3f} times the loss of ma3"
    assert stays.verdict.reasons[-1] == alarm
    good = choose(many, "ma3", None, SEED, used_until="2025-12")
    assert not any(reason.startswith("alarm") for reason in good.verdict.reasons)


def test_a_verdict_is_json_without_not_a_number(tested: Backtest) -> None:
    for choice in (choose(tested, None, None, SEED), choose(tested, "ses", None, SEED, used_until="2025-12")):
        told = json.loads(json.dumps(choice.to_json(), allow_nan=False))
        assert {"answer", "against", "ratio", "lower", "upper", "reasons", "contest"} <= set(told)


def test_what_a_recipe_may_cost_is_a_guardrail(many: Backtest) -> None:
    dear = choose(many, "seasonal_naive", None, SEED, limits=Limits(memory_bytes=1.0))
    assert dear.outcome == "refreshed"
    assert dear.contest is not None
    assert dear.contest[1].answer == "refused"
    assert dear.contest[1].reasons[1].startswith("cost guardrail, memory_bytes")


def _lucky(tested: Backtest, name: str, month: int) -> Backtest:
    """The backtest as if the candidate had lost nothing in one month: a huge negative loss."""

    class Lucky(Backtest):
        def losses(self, of: str) -> Floats:
            losses = tested.losses(of)
            if of == name:
                losses[:, month] -= 1_000.0
            return losses

    return Lucky(**{field.name: getattr(tested, field.name) for field in fields(tested)})


def _loss(tested: Backtest, name: str) -> float:
    return float(np.nanmean(tested.losses(name)[:, :-1]))
