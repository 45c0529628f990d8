"""Is the challenger better than the champion? Answered from paired losses; closed by default.

What is asked, why, and how often the gate errs is in docs/gate.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ml.evaluation import Backtest
from ml.guardrails import Guardrail, Limits, affordable, check
from ml.history import Floats
from ml.inference import Interval, bootstrap
from ml.segments import segments
from ml.trial import Trial, cost
from ml.witnesses import Witnesses, witnesses_of

Answer = Literal["better", "non_inferior", "not_better", "worse", "refused", "not_enough_data"]
Gain = Literal["fresher", "cheaper"]

DRAWS: Final = 1_000
CONFIDENCE: Final = 0.95
MARGIN: Final = 1.01
SMALLEST_ORIGINS: Final = 3
SMALLEST_SERIES: Final = 30
VISIBLE: Final = 0.02
"""A difference that data must be able to show: half the width of the widest interval that says "not better"."""

CHEAPER: Final = 0.8
"""A model that scores in at most this share of the champion's time is cheaper, and not by chance."""


@dataclass(frozen=True)
class Verdict:
    """The answer and what it rests on.

    Attributes:
        answer: `better` and `non_inferior` may be promoted, the others may not. `refused`: a guardrail fails,
            whatever the loss. `not_better`: a difference of 2 % would show, and no gain does.
        ratio: Summed loss of the challenger over that of the champion; below 1 the challenger is better.
            NaN where it has no meaning.
        lower: Lower end of its 95 % interval.
        upper: Upper end.
        observations: Pairs of losses.
        series: Products among them.
        origins: Months among them.
        reasons: One sentence each, with the numbers that decided.
        guardrails: Everything that was looked at.
        witnesses: None where nothing could be tested.
    """

    answer: Answer
    ratio: float
    lower: float
    upper: float
    observations: int
    series: int
    origins: int
    reasons: tuple[str, ...]
    guardrails: tuple[Guardrail, ...] = ()
    witnesses: Witnesses | None = None

    @property
    def decided(self) -> bool:
        """Whether the months of this test are used up by its answer."""
        return self.answer != "not_enough_data"


def judge(
    tested: Backtest,
    challenger: str,
    champion: str,
    *,
    columns: Sequence[int],
    seed: int,
    fresher: bool = False,
    limits: Limits | None = None,
) -> Verdict:
    """Compare two candidates of a backtest.

    Args:
        tested: Has both.
        challenger: Name.
        champion: Name.
        columns: Places in `tested.origins` of the months that may decide.
        seed: Of the bootstrap.
        fresher: The challenger is the champion's recipe on newer data, so "not worse" is enough for it.
        limits: What it may cost.
    """
    if not columns:
        nothing = np.empty(0)
        return decide(nothing, nothing, nothing.astype(np.intp), nothing.astype(np.intp), seed=seed)
    ours, theirs = (Trial.of(tested, name, columns) for name in (challenger, champion))
    costs = cost(tested, challenger), cost(tested, champion)
    cheaper = costs[0].score_p95_seconds <= CHEAPER * costs[1].score_p95_seconds
    origins = [tested.origins[k] for k in columns]
    parts = [(f"{kind} {name}", part) for kind, name, part in segments(tested.history, origins, ours.counted)]
    verdict = compare(
        ours,
        theirs,
        seed=seed,
        gain="fresher" if fresher else "cheaper" if cheaper else None,
        guardrails=(*check(ours, theirs, parts), *affordable(costs[0], limits or Limits())),
    )
    return replace(verdict, witnesses=witnesses_of(tested, origins, ours, theirs, costs))


def compare(
    challenger: Trial,
    champion: Trial,
    *,
    seed: int,
    gain: Gain | None = None,
    guardrails: Sequence[Guardrail] = (),
) -> Verdict:
    """`decide` on the losses of two trials of the same products and months."""
    rows, months = np.nonzero(challenger.counted)
    ours, theirs = challenger.losses[rows, months], champion.losses[rows, months]
    return decide(ours, theirs, rows, months, seed=seed, gain=gain, guardrails=guardrails)


def decide(
    challenger: Floats,
    champion: Floats,
    series: NDArray[np.intp],
    origins: NDArray[np.intp],
    *,
    seed: int,
    draws: int = DRAWS,
    margin: float = MARGIN,
    gain: Gain | None = None,
    guardrails: Sequence[Guardrail] = (),
) -> Verdict:
    """Compare two procedures by the losses they had for the same products in the same months.

    Args:
        challenger: One loss per product and month, for example `ml.metrics.scaled_pinball`.
        champion: Losses of the same rows.
        series: Which product each row belongs to.
        origins: Which month each row belongs to.
        seed: Same rows and seed give the same verdict.
        draws: Of `ml.inference.bootstrap`.
        margin: Upper bound below which the challenger counts as not worse.
        gain: What speaks for a challenger that is not worse; without it only a better one passes.
        guardrails: One that failed refuses whatever would pass.

    Raises:
        ValueError: The arrays differ in length.
    """
    if not len(challenger) == len(champion) == len(series) == len(origins):
        lengths = [len(challenger), len(champion), len(series), len(origins)]
        raise ValueError(f"losses, products and months differ in length: {lengths}")
    counts = (len(challenger), len(np.unique(series)), len(np.unique(origins)))
    kept, nan = tuple(guardrails), float("nan")
    if unfit := _unfit(challenger, champion, counts):
        return Verdict("not_enough_data", nan, nan, nan, *counts, unfit, kept)
    tables = [_table(losses, series, origins) for losses in (challenger, champion)]
    found = bootstrap(*tables, seed=seed, draws=draws, confidence=CONFIDENCE)
    answer, reason = _answer(found, margin, gain)
    if answer in ("better", "non_inferior") and not all(each.passed for each in kept):
        answer = "refused"
    told = tuple(str(each) for each in kept if each.doubtful or not each.passed)
    return Verdict(answer, found.ratio, found.lower, found.upper, *counts, (reason, *told), kept)


def _unfit(challenger: Floats, champion: Floats, counts: tuple[int, int, int]) -> tuple[str, ...]:
    """Why these losses cannot decide."""
    _, series, origins = counts
    reasons = []
    if origins < SMALLEST_ORIGINS:
        reasons.append(f"{origins} months were tested, {SMALLEST_ORIGINS} are needed")
    if series < SMALLEST_SERIES:
        reasons.append(f"{series} products were tested, {SMALLEST_SERIES} are needed")
    for name, losses in (("challenger", challenger), ("champion", champion)):
        if broken := int(np.sum(~np.isfinite(losses))):
            reasons.append(f"{broken} of {len(losses)} losses of the {name} are not finite")
    if not reasons and champion.sum() <= 0:
        reasons.append("the champion has no loss at all, so a ratio to it has no meaning")
    return tuple(reasons)


def _table(losses: Floats, series: NDArray[np.intp], origins: NDArray[np.intp]) -> Floats:
    """(products, months) losses; 0 where a pair was not tested."""
    products, row = np.unique(series, return_inverse=True)
    months, column = np.unique(origins, return_inverse=True)
    table = np.zeros((len(products), len(months)))
    np.add.at(table, (row, column), losses)
    return table


def _answer(found: Interval, margin: float, gain: Gain | None) -> tuple[Answer, str]:
    saw = f"loss ratio {found.ratio:.4f} with 95 % interval {found.lower:.4f} to {found.upper:.4f}"
    if found.upper < 1:
        return "better", f"{saw} is below 1"
    if found.upper < margin and gain is not None:
        return "non_inferior", f"{saw} is below the margin {margin}, and the model is {gain}"
    if found.lower > 1:
        return "worse", f"{saw} is above 1"
    if found.half_width > VISIBLE:
        return "not_enough_data", f"{saw} is too wide to see a difference of {VISIBLE:.0%}"
    return "not_better", f"{saw} shows no gain, and one of {VISIBLE:.0%} would have shown"
