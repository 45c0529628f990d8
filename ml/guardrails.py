"""What no challenger may do, however small its loss: harm a part, be biased or miscalibrated, break, cost too much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

import numpy as np

from ml.distribution import LEVELS
from ml.history import Floats
from ml.inference import holm, ratio_error, student_tail
from ml.trial import Cost, Mask, Trial

ALPHA: Final = 0.05
"""Chance that a challenger without fault is refused by one kind of guardrail, over all parts together."""

OVERALL: Final = "overall"
LARGEST_PART_RATIO: Final = 1.03
LARGEST_BIAS: Final = {True: 0.03, False: 0.1}
"""Overall, and in a part; a share of the units sold."""

LARGEST_GAP: Final = {True: 0.02, False: 0.05}
"""The same for the calibration gap; a share of the forecasts."""

GAP_LEVELS: Final = (0.05, 0.1, 0.9, 0.95)
SMALLEST_PART: Final = 30
SMALLEST_MONTHS: Final = 3
SMALLEST_CALIBRATED: Final = 500

Kind = Literal["loss", "bias", "calibration", "sanity", "cost"]
Part = tuple[str, Mask]


@dataclass(frozen=True)
class Limits:
    """The most that a model may cost, by the names of `ml.trial.Cost`."""

    fit_seconds: float = 600.0
    memory_bytes: float = 1.5e9
    score_p95_seconds: float = 0.05


@dataclass(frozen=True)
class Guardrail:
    """One thing that was looked at.

    Attributes:
        kind: What.
        part: Of the portfolio, or what was counted.
        value: Ratio of losses, bias, gap, number of faults, seconds or bytes.
        limit: What it may be.
        champion: The same of the champion; None where there is no such.
        p_value: Chance of such an excess without cause, corrected for the number of parts; None for a count.
        passed: Within the limit, or not surely beyond it, or no farther from right than the champion.
    """

    kind: Kind
    part: str
    value: float
    limit: float
    champion: float | None
    p_value: float | None
    passed: bool

    @property
    def doubtful(self) -> bool:
        """Beyond its limit for the portfolio as a whole, and not refused: a reviewer has to know."""
        return self.passed and self.part == OVERALL and self.value > self.limit

    def __str__(self) -> str:
        sure = "" if self.p_value is None else f" (p = {self.p_value:.2g} over all parts)"
        why = "; passed, since it may be chance or is no worse than the champion's" if self.doubtful else ""
        return f"{self.kind} guardrail, {self.part}: {self.value:.4g}, at most {self.limit:.4g} allowed{sure}{why}"


def check(challenger: Trial, champion: Trial, parts: Sequence[Part]) -> tuple[Guardrail, ...]:
    """Losses, bias, calibration and sanity, overall and in each part.

    A number that rests on a few months is off by chance, so only what is surely beyond its limit fails: a
    one-sided test at 5 % by products and months, corrected by Holm over the parts. A bias or gap that is no
    larger than the champion's fails neither, or a better model could never replace a bad one.

    Args:
        challenger: Its forecasts.
        champion: Those of the same products and months.
        parts: Name and (n, K) forecasts of each; parts with less than 30 products or 3 months are not tested.
    """
    whole = [(OVERALL, challenger.counted)] if challenger.counted.any() else []
    tested = [part for part in parts if _enough(part[1])]
    calibrated = [part for part in tested if part[1].sum() >= SMALLEST_CALIBRATED]
    families = [
        [_loss(challenger, champion, part) for part in tested],
        [_bias(challenger, champion, part) for part in whole],
        [_bias(challenger, champion, part) for part in tested],
        [_gap(challenger, champion, part) for part in whole],
        [_gap(challenger, champion, part) for part in calibrated],
    ]
    return tuple(found for family in families for found in _corrected(family)) + _sane(challenger)


def affordable(spent: Cost, limits: Limits) -> tuple[Guardrail, ...]:
    """Whether a model costs no more than is allowed."""
    allowed = asdict(limits)
    return tuple(
        Guardrail("cost", name, value, allowed[name], None, None, passed=value <= allowed[name])
        for name, value in asdict(spent).items()
    )


def _enough(mask: Mask) -> bool:
    products, months = np.sum(mask.any(axis=1)), np.sum(mask.any(axis=0))
    return bool(products >= SMALLEST_PART and months >= SMALLEST_MONTHS)


def _corrected(family: Sequence[Guardrail]) -> Iterator[Guardrail]:
    for found, p_value in zip(family, holm([each.p_value or 0.0 for each in family]), strict=True):
        beyond = found.value > found.limit and p_value <= ALPHA
        no_better = found.champion is None or found.value > found.champion
        yield replace(found, p_value=min(1.0, p_value), passed=not (beyond and no_better))


def _loss(challenger: Trial, champion: Trial, part: Part) -> Guardrail:
    name, mask = part
    ours, theirs = challenger.losses, champion.losses
    ratio = _ratio(ours, theirs, mask)
    p_value = _p_value(math.log(ratio) * ratio if ratio > 1 else 0.0, ours, theirs, mask)
    return Guardrail("loss", name, ratio, LARGEST_PART_RATIO, None, p_value, passed=False)


def _bias(challenger: Trial, champion: Trial, part: Part) -> Guardrail:
    name, mask = part
    limit = LARGEST_BIAS[name == OVERALL]
    values = [abs(_ratio(trial.mean - trial.actual, trial.actual, mask)) for trial in (challenger, champion)]
    p_value = _p_value(values[0] - limit, challenger.mean - challenger.actual, challenger.actual, mask)
    return Guardrail("bias", name, values[0], limit, values[1], p_value, passed=False)


def _gap(challenger: Trial, champion: Trial, part: Part) -> Guardrail:
    name, mask = part
    limit, every = LARGEST_GAP[name == OVERALL], np.ones(mask.shape)
    sides = list(_sides(challenger, mask))
    p_value = min(_p_value(gap - limit, inside, every, mask) for gap, inside in sides) * len(GAP_LEVELS)
    gaps = [max(0.0, *(gap for gap, _ in found)) for found in (sides, _sides(champion, mask))]
    return Guardrail("calibration", name, gaps[0], limit, gaps[1], min(1.0, p_value), passed=False)


def _sides(trial: Trial, mask: Mask) -> Iterator[tuple[float, Floats]]:
    """How far P(Y < q) is above each level, and P(Y <= q) below it, each with the forecasts that are inside."""
    for level in GAP_LEVELS:
        quantile = trial.quantiles[..., LEVELS.index(level)]
        for sign, inside in ((1, trial.actual < quantile), (-1, trial.actual <= quantile)):
            yield sign * (float(inside[mask].mean()) - level), inside.astype(np.float64)


def _sane(challenger: Trial) -> tuple[Guardrail, ...]:
    return tuple(
        Guardrail("sanity", name, float(count), 0.0, None, None, passed=count == 0)
        for name, count in challenger.faults.items()
    )


def _ratio(top: Floats, bottom: Floats, mask: Mask) -> float:
    """A ratio of sums over a part; 0 over 0 is no difference."""
    above, below = float(top[mask].sum()), float(bottom[mask].sum())
    return above / below if below > 0 else float(above != 0)


def _p_value(excess: float, top: Floats, bottom: Floats, mask: Mask) -> float:
    """Chance that the ratio of two sums is this far beyond its limit without cause."""
    if excess <= 0 or not bottom[mask].sum() > 0:
        return 1.0
    error, freedom = ratio_error(top, bottom, mask)
    return student_tail(excess / error, freedom) if error > 0 else 0.0
