"""Which recipe to train next: the best of a backtest, unless the champion's own is not beaten by the gate."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np

from ml.evaluation import Backtest
from ml.gate import Verdict, decide
from ml.history import Floats

BASELINE: Final = "naive"

Outcome = Literal["first", "new_recipe", "refreshed", "forced", "unchanged"]


@dataclass(frozen=True)
class Choice:
    """A recipe and the gate's answers: on itself `against` another, and on a recipe that did not beat it."""

    candidate: str
    outcome: Outcome
    against: str
    verdict: Verdict
    contest: tuple[str, Verdict] | None = None

    @property
    def promotable(self) -> bool:
        """Whether the gate lets the recipe pass; a first model must be better, later ones not worse."""
        passing = {"better"} if self.outcome == "first" else {"better", "non_inferior"}
        return self.verdict.answer in passing

    def to_json(self) -> dict[str, Any]:
        """Verdicts as plain values; a number without meaning is null."""
        contest = self.contest and {"candidate": self.contest[0], **_plain(self.contest[1])}
        return {**_plain(self.verdict), "against": self.against, "contest": contest}


def choose(tested: Backtest, champion: str | None, forced: str | None, seed: int) -> Choice:
    """The recipe to train, and the gate's answer on it.

    The best recipe is looked for without the last tested month, so that month judges it unseen. Before the
    first release it is judged against `naive`. A champion's recipe stays unless the best one beats it by the
    gate; a recipe that stays is judged against `naive` again, so a champion that lost its worth shows.

    Args:
        tested: Backtest of all candidates.
        champion: The champion's recipe, None before the first release.
        forced: A recipe that was asked for.
        seed: Of the gate's bootstrap.
    """
    rival = champion if champion in tested.candidates else None
    if forced is not None:
        against = rival if rival and rival != forced else BASELINE
        return Choice(forced, "forced", against, _judge(tested, forced, against, seed))
    best, contest = _best(tested), None
    if rival is None:
        return Choice(best, "first", BASELINE, _judge(tested, best, BASELINE, seed))
    if best != rival:
        contest = (best, _judge(tested, best, rival, seed))
        if contest[1].answer == "better":
            return Choice(best, "new_recipe", rival, contest[1])
    return Choice(rival, "refreshed", BASELINE, _judge(tested, rival, BASELINE, seed), contest)


def _best(tested: Backtest) -> str:
    """The promotable candidate with the least mean loss on all but the last tested month."""
    names = [name for name, candidate in tested.candidates.items() if candidate.promotable]
    seen = slice(0, max(1, len(tested.origins) - 1))
    losses = {name: _mean(tested.losses(name)[:, seen]) for name in names}
    return min(names, key=lambda name: losses[name])


def _judge(tested: Backtest, challenger: str, champion: str, seed: int) -> Verdict:
    series, origins = np.nonzero(tested.eligible)
    ours, theirs = (tested.losses(name)[series, origins] for name in (challenger, champion))
    return decide(ours, theirs, series, origins, seed=seed)


def _plain(verdict: Verdict) -> dict[str, Any]:
    return asdict(verdict) | {key: number(getattr(verdict, key)) for key in ("ratio", "lower", "upper")}


def number(value: object) -> float | None:
    """The value as a float; None where it is no finite number, since JSON has no such."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _mean(losses: Floats) -> float:
    return float(np.nanmean(losses)) if np.isfinite(losses).any() else math.inf
