"""One verdict from all that looks for drift, and when it asks for a retrain: once per episode.

What a run says depends on the runs of earlier periods and on nothing that is kept beside them, so a run that is
repeated says the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Answer = Literal["no drift", "drift", "not enough data"]

CONFIRMED: Final = 2
"""Periods with drift, of the last `LOOKED_AT` that could be judged, that begin an episode."""

LOOKED_AT: Final = 3
SURE: Final = 0.0003
"""Drift in one period begins an episode where its p-value, over all that was looked at, is no larger."""

CALM: Final = 4
"""Periods without drift that end an episode."""


@dataclass(frozen=True)
class Judged:
    """What was found in one period.

    Attributes:
        period: Its first day, ISO 8601, or its month; they sort as they follow each other.
        answer: Of all parts together.
        p_value: Smallest over the parts that have one, corrected; 1 for others.
    """

    period: str
    answer: Answer
    p_value: float = 1.0


@dataclass(frozen=True)
class Verdict:
    """Where a period stands.

    Attributes:
        answer: What was found in it.
        episode: Period in which the episode of drift began that it belongs to, None outside one.
        retrain: Whether to train now: only where an episode begins.
    """

    answer: Answer
    episode: str | None
    retrain: bool


def combined(leading: Answer, *others: Answer) -> Answer:
    """Drift where any part found it, else what the leading part says."""
    return "drift" if "drift" in others else leading


def verdict(earlier: Sequence[Judged], now: Judged) -> Verdict:
    """What the newest period's finding means after those before it.

    An episode begins with drift that is sure or confirmed, and ends after some periods without; what cannot be
    judged neither begins nor ends one.

    Args:
        earlier: Findings of any periods, in the order in which they were made: of a period the last one counts,
            those of `now.period` and later ones are passed over.
        now: The finding of the newest period.
    """
    before: Mapping[str, Judged] = {each.period: each for each in earlier if each.period < now.period}
    episode: str | None = None
    recent: list[Judged] = []
    began = False
    for each in [*(before[period] for period in sorted(before)), now]:
        began = False
        if each.answer == "not enough data":
            continue
        recent.append(each)
        if episode is None and _begins(recent):
            episode, began = each.period, True
        elif episode is not None and _calm(recent):
            episode = None
    return Verdict(now.answer, episode, began)


def _begins(recent: Sequence[Judged]) -> bool:
    if recent[-1].answer != "drift":
        return False
    found = sum(each.answer == "drift" for each in recent[-LOOKED_AT:])
    return found >= CONFIRMED or recent[-1].p_value <= SURE


def _calm(recent: Sequence[Judged]) -> bool:
    return len(recent) >= CALM and all(each.answer == "no drift" for each in recent[-CALM:])
