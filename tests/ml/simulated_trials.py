"""Trials of forecasters whose true quality is known.

What a forecaster misses a product's sales by is normal with a deviation that it knows, so it is calibrated, and its
expected loss is proportional to that deviation. Deviations have heavy tails over products. Two forecasters err
alike for the most part; one of them can be luckier with a product, in a month, or with a single forecast. The
sizes of these effects are those between two recipes on real shops, see docs/gate.md.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import get_args

import numpy as np
from scipy.stats import norm

from ml.distribution import LEVELS
from ml.evaluation import TEST_ORIGINS
from ml.gate import Answer, Gain, compare
from ml.guardrails import Part, check
from ml.history import Floats
from ml.trial import Mask, Trial

KINDS = {"class": 4, "size": 3, "category": 8, "price": 3, "age": 2, "revenue": 2}
"""How many parts of each kind; a product is in one of each."""

_Z = norm.ppf(LEVELS)


@dataclass(frozen=True)
class World:
    """Deviations of logs: of losses over products, and of the luck of one forecaster by product, month and pair.

    `alike` is the share of the variance of misses that both have in common, `shock` that of all products of a
    month; `tested` is the share of pairs that count.
    """

    products: int = 1_000
    months: int = 6
    tails: float = 1.2
    by_product: float = 0.1
    by_month: float = 0.015
    by_pair: float = 0.1
    alike: float = 0.98
    shock: float = 0.02
    tested: float = 0.9

    def trials(self, seed: int, quality: float | Floats, others: int = 1) -> list[Trial]:
        """A forecaster with `quality` times the expected loss of `others` that are all alike, and those."""
        rng = np.random.default_rng([17, seed])
        shape, n, months = (self.products, self.months), (self.products, 1), (1, self.months)
        size = np.exp(rng.normal(0, self.tails, n)) * rng.gamma(4, 0.25, shape)
        counted = rng.random(shape) < self.tested
        common = self._misses(rng)
        made = []
        for factor in [quality] + [1.0] * others:
            luck = rng.normal(0, self.by_product, n) + rng.normal(0, self.by_month, months)
            deviation = size * np.exp(luck + rng.normal(0, self.by_pair, shape)) * factor
            own = np.sqrt(self.alike) * common + np.sqrt(1 - self.alike) * self._misses(rng)
            made.append(_trial(counted, 3 * size, own * deviation, deviation))
        return made

    def _misses(self, rng: np.random.Generator) -> Floats:
        of_all = rng.normal(0, 1, (1, self.months))
        of_one = rng.normal(0, 1, (self.products, self.months))
        return np.asarray(np.sqrt(self.shock) * of_all + np.sqrt(1 - self.shock) * of_one)

    def parts(self, counted: Mask) -> list[Part]:
        """Parts of each kind, drawn once and for all."""
        return [(name, counted & member) for name, member in _members(self.products)]


@cache
def _members(products: int) -> list[tuple[str, Mask]]:
    rng = np.random.default_rng(5)
    labels = {kind: rng.integers(0, number, (products, 1)) for kind, number in KINDS.items()}
    return [(f"{kind} {k}", label == k) for kind, label in labels.items() for k in range(KINDS[kind])]


def _trial(counted: Mask, actual: Floats, miss: Floats, deviation: Floats) -> Trial:
    mean = actual + miss
    quantiles = mean[..., np.newaxis] + deviation[..., np.newaxis] * _Z
    return Trial(
        counted=counted,
        actual=np.where(counted, actual, 0.0),
        mean=np.where(counted, mean, 0.0),
        quantiles=np.where(counted[..., np.newaxis], quantiles, 0.0),
        scale=np.ones(counted.shape),
        faults={},
    )


@dataclass(frozen=True)
class Tally:
    """What the gate said in some simulations, as shares of them.

    `harmed` is how often a guardrail failed, whatever the answer.
    """

    promoted: float
    refused: float
    worse: float
    not_better: float
    not_enough_data: float
    harmed: float
    half_width: float


def tally(
    world: World,
    quality: float | Mapping[str, float],
    simulations: int,
    *,
    gain: Gain | None = None,
    guarded: bool = True,
) -> Tally:
    """The gate's answers on a challenger with `quality` times the champion's expected loss, all or by part."""
    answers: Counter[str] = Counter()
    harmed, widths = 0, []
    factor = quality if isinstance(quality, float) else _factor(world.products, quality)
    for seed in range(simulations):
        challenger, champion = world.trials(seed, factor)
        found = check(challenger, champion, world.parts(challenger.counted)) if guarded else ()
        verdict = compare(challenger, champion, seed=seed, gain=gain, guardrails=found)
        answers[verdict.answer] += 1
        harmed += not all(each.passed for each in found)
        widths.append((verdict.upper - verdict.lower) / 2)
    shares = {name: answers[name] / simulations for name in get_args(Answer)}
    return Tally(
        promoted=shares["better"] + shares["non_inferior"],
        refused=shares["refused"],
        worse=shares["worse"],
        not_better=shares["not_better"],
        not_enough_data=shares["not_enough_data"],
        harmed=harmed / simulations,
        half_width=float(np.median(widths)),
    )


def best_of_nine_promoted(world: World, simulations: int) -> float:
    """How often the best of nine candidates by all but the last month beats a champion that is as good as they."""
    promoted = 0
    for seed in range(simulations):
        champion, *others = world.trials(seed, 1.0, others=9)
        seen = [float(trial.losses[:, :-1].sum()) for trial in (champion, *others)]
        best = int(np.argmin(seen))
        if best:
            promoted += compare(others[best - 1], champion, seed=seed).answer == "better"
    return promoted / simulations


def promoted_within_a_year(world: World, simulations: int, *, once: bool) -> float:
    """How often one of twelve monthly decisions promotes a challenger that is as good as the champion.

    Each looks at the last six of the months, with `once` only at those that no earlier decision has used.
    """
    promoted = 0
    for seed in range(simulations):
        pair = replace(world, months=2 * TEST_ORIGINS + 5).trials(seed, 1.0)
        used = 0
        for now in range(TEST_ORIGINS, 2 * TEST_ORIGINS + 6):
            seen = slice(max(used, now - TEST_ORIGINS), now)
            verdict = compare(*(_cut(trial, seen) for trial in pair), seed=seed)
            used = now if once and verdict.decided else used
            if verdict.answer == "better":
                promoted += 1
                break
    return promoted / simulations


def _cut(trial: Trial, months: slice) -> Trial:
    arrays = ("counted", "actual", "mean", "quantiles", "scale")
    return replace(trial, **{name: getattr(trial, name)[:, months] for name in arrays})


def _factor(products: int, quality: Mapping[str, float]) -> Floats:
    """(n, 1) factors: that of the part a product is in, else that of `""`."""
    factor = np.full((products, 1), quality[""])
    for name, member in _members(products):
        if name in quality:
            factor[member] = quality[name]
    return factor
