"""Is a month unusual? Each of its statistics against the same of earlier months, corrected for how many there are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ml.distribution import Floats
from ml.inference import holm, student_two_sided

ALPHA: Final = 0.05
"""Chance of an alarm in a month like the others, over all tests together."""

FAMILIES: Final = {"shop": 0.4, "category": 0.15, "change": 0.1}
"""How that chance is shared: the shop as a whole has few tests and is what matters first. The rest is for the inputs
and for sums over months (`ml.drift.judging`)."""

SMALLEST_REFERENCE: Final = 6
SMALLEST_VOLUME_EFFECT: Final = math.log(1.25)
SMALLEST_SHARE_EFFECT: Final = 0.1
SMALLEST_SPREAD: Final = 0.03
"""Six months can look calmer than they are: a statistic is taken to move at least this much."""


@dataclass(frozen=True)
class Finding:
    """One test. Values are logs of ratios for volumes (0.22 is 25 % more) and shares for the rest.

    Attributes:
        name: What was looked at, `shop:volume` or `change:views`.
        value: Of the newest month.
        usual: Mean of the earlier months.
        effect: The difference.
        floor: A smaller effect is no drift, however sure.
        p_value: Corrected for the number of tests; drift is at most `ALPHA`.
        drifted: The effect is large enough and sure enough.
    """

    name: str
    value: float
    usual: float
    effect: float
    floor: float
    p_value: float
    drifted: bool = False


def compare(newest: Mapping[str, float], earlier: Sequence[Mapping[str, float]]) -> list[Finding]:
    """Each statistic of the newest month against the same of the earlier ones, without correction."""
    found = []
    for name, value in newest.items():
        known = np.array([month[name] for month in earlier if name in month])
        if len(known) >= SMALLEST_REFERENCE:
            floor = SMALLEST_VOLUME_EFFECT if is_volume(name) else SMALLEST_SHARE_EFFECT
            usual = float(known.mean())
            found.append(Finding(name, value, usual, value - usual, floor, _p_value(value, known)))
    return found


def corrected(findings: list[Finding]) -> tuple[Finding, ...]:
    """Holm's correction (1979) in each family, which may spend its share of the chance of an alarm."""
    made = []
    for family, share in FAMILIES.items():
        members = [f for f in findings if _family(f.name) == family]
        for finding, p_value in zip(members, holm([f.p_value for f in members]), strict=True):
            shared = min(1.0, p_value / share)
            drifted = shared <= ALPHA and abs(finding.effect) >= finding.floor
            made.append(replace(finding, p_value=shared, drifted=drifted))
    return tuple(sorted(made, key=lambda finding: (not finding.drifted, finding.p_value)))


def _family(name: str) -> str:
    return name.partition(" ")[0].partition(":")[0]


def is_volume(name: str) -> bool:
    """Whether a statistic is the log of a ratio; the others are shares."""
    return not name.endswith((":rank", ":outside"))


def _p_value(value: float, earlier: Floats) -> float:
    """Two-sided chance of a new month this far off, by the prediction interval of a normal sample."""
    spread = max(float(earlier.std(ddof=1)), SMALLEST_SPREAD) * math.sqrt(1 + 1 / len(earlier))
    return student_two_sided(abs(value - float(earlier.mean())) / spread, len(earlier) - 1)
