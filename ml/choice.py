"""Which recipe to train next: the best of a backtest, unless the champion's own is not beaten by the gate."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from ml.evaluation import Backtest
from ml.gate import Verdict, judge
from ml.guardrails import Limits
from ml.history import Floats

BASELINE: Final = "naive"
FLOOR: Final = "ma3"
"""A champion that this simple recipe equals has an alarm among its reasons."""

Outcome = Literal["first", "new_recipe", "refreshed", "forced", "unchanged"]


@dataclass(frozen=True)
class Choice:
    """A recipe and the gate's answers: on itself `against` another, and on a recipe that did not beat it.

    `used_until` is the last month that a decision between recipes rested on. It is kept with the verdict, and
    once the model is champion the next decision looks only at later months.
    """

    candidate: str
    outcome: Outcome
    against: str
    verdict: Verdict
    used_until: str | None
    contest: tuple[str, Verdict] | None = None

    @property
    def promotable(self) -> bool:
        """Whether the gate lets the recipe pass; a first model must be better, later ones not worse."""
        passing = {"better"} if self.outcome == "first" else {"better", "non_inferior"}
        return self.verdict.answer in passing

    def to_json(self) -> dict[str, Any]:
        """Verdicts as plain values; a number without meaning is null."""
        contest = self.contest and {"candidate": self.contest[0], **asdict(self.contest[1])}
        own = {"against": self.against, "used_until": self.used_until, "contest": contest}
        return {name: _plain(value) for name, value in (asdict(self.verdict) | own).items()}


def choose(
    tested: Backtest,
    champion: str | None,
    forced: str | None,
    seed: int,
    *,
    used_until: str | None = None,
    limits: Limits | None = None,
) -> Choice:
    """The recipe to train, and the gate's answer on it.

    The best recipe is looked for without the last tested month, so that month judges it unseen. Before the
    first release it is judged against `naive`. A champion's recipe stays unless the best one beats it by the
    gate; a recipe that stays is judged against `naive` again, so a champion that lost its worth shows.

    A decision between recipes looks only at months after `used_until`. Refitting the champion's own recipe
    is none: it is judged by all tested months and uses none of them up.

    Args:
        tested: Backtest of all candidates.
        champion: The champion's recipe, None before the first release.
        forced: A recipe that was asked for.
        seed: Of the gate's bootstrap.
        used_until: The last month, `YYYY-MM`, that the champion's own choice rested on.
        limits: What a model may cost.
    """
    decision = _Decision(tested, seed, used_until, limits)
    rival = champion if champion in tested.candidates else None
    if forced is not None:
        against = rival if rival and rival != forced else BASELINE
        return decision.on(forced, "forced", against)
    best = _best(tested)
    if rival is None:
        return decision.on(best, "first", BASELINE)
    contest = None
    if best != rival:
        new = decision.on(best, "new_recipe", rival)
        if new.verdict.answer == "better":
            return new
        used_until, contest = new.used_until, (best, new.verdict)
    every = range(len(tested.origins))
    verdict = judge(tested, rival, BASELINE, columns=every, seed=seed, fresher=True, limits=limits)
    verdict = replace(verdict, reasons=(*verdict.reasons, *_alarm(tested, rival)))
    return Choice(rival, "refreshed", BASELINE, verdict, used_until, contest)


@dataclass(frozen=True)
class _Decision:
    """A judge between recipes, with the months that no earlier decision has used."""

    tested: Backtest
    seed: int
    used_until: str | None
    limits: Limits | None

    def on(self, candidate: str, outcome: Outcome, against: str) -> Choice:
        months = [str(self.tested.history.months[t]) for t in self.tested.origins]
        unused = [k for k, month in enumerate(months) if self.used_until is None or month > self.used_until]
        verdict = judge(self.tested, candidate, against, columns=unused, seed=self.seed, limits=self.limits)
        if verdict.decided:
            return Choice(candidate, outcome, against, verdict, months[-1])
        if len(unused) < len(months):
            spent = f"months up to {self.used_until} were used by an earlier decision and do not count again"
            verdict = replace(verdict, reasons=(*verdict.reasons, spent))
        return Choice(candidate, outcome, against, verdict, self.used_until)


def _best(tested: Backtest) -> str:
    """The promotable candidate with the least mean loss on all but the last tested month."""
    names = [name for name, candidate in tested.candidates.items() if candidate.promotable]
    seen = slice(0, max(1, len(tested.origins) - 1))
    losses = {name: _mean(tested.losses(name)[:, seen]) for name in names}
    return min(names, key=lambda name: losses[name])


def _alarm(tested: Backtest, champion: str) -> tuple[str, ...]:
    if champion == FLOOR or FLOOR not in tested.candidates:
        return ()
    ours, floor = (_mean(tested.losses(name)) for name in (champion, FLOOR))
    if not math.inf > ours >= floor > 0:
        return ()
    return (f"alarm: the champion's recipe {champion} has {ours / floor:.3f} times the loss of {FLOOR}",)


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return number(value) if isinstance(value, float) else value


def number(value: object) -> float | None:
    """The value as a float; None where it is no finite number, since JSON has no such."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _mean(losses: Floats) -> float:
    return float(np.nanmean(losses)) if np.isfinite(losses).any() else math.inf
