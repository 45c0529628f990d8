"""Did the inputs drift? The newest batch of a feature frame against what its season leads one to expect."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import polars as pl

from ml.drift.batches import FLOORS, WEIGHTS, Batches, Every, Kind, Statistic, batches
from ml.drift.season_aligned import (
    FEWEST_PERIODS,
    LONGEST_REFERENCE,
    WINDOWS,
    Reference,
    Step,
    reference,
    steps,
)
from ml.drift.verdict import Answer
from ml.inference import holm

ALPHA: Final = 0.01
"""Chance of an alarm in a batch like the others, over all columns together: one in a hundred runs."""

MEASURED_FALSE_ALARMS: Final = 0.020
"""Share of the weekly and daily batches without drift in which there was an alarm (benchmarks/drift.py)."""

NAMED_RATE: Final = 0.08
"""Once there is drift, columns are named so that at most this share of the names is wrong on average."""

FEWEST_ROWS: Final = 30


@dataclass(frozen=True)
class ColumnFinding:
    """The clearest sign of drift in one column.

    Attributes:
        column: Of the frame.
        kind: What of it: `location`, `spread`, `missing`, `new category` or `category share`.
        label: The category, where it is about one.
        window: Over how many of the last batches.
        effect: How large: standard deviations of a row for a location, log ratio for a spread, share for the rest.
        p_value: Over everything that was looked at in this column.
        corrected: The same over all columns (Holm 1979).
        drifted: Whether it is named.
    """

    column: str
    kind: str
    label: str
    window: int
    effect: float
    p_value: float
    corrected: float = 1.0
    drifted: bool = False


@dataclass(frozen=True)
class InputDrift:
    """The answer for one frame, clearest findings first.

    Attributes:
        answer: `drift` where a column has an effect that is large enough and sure enough.
        reason: One sentence.
        batch: First day of the newest batch.
        reference_batches: How many it was compared with.
        p_value: Of the frame: the smallest over its columns, corrected.
        findings: One per column that could be tested.
    """

    answer: Answer
    reason: str
    batch: str
    reference_batches: int
    p_value: float = 1.0
    findings: tuple[ColumnFinding, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Names of the columns that drifted."""
        return [finding.column for finding in self.findings if finding.drifted]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return asdict(self) | {"columns": self.columns, "findings": [asdict(each) for each in self.findings]}


def judge_frame(frame: pl.DataFrame, *, batch: str, every: Every, alpha: float = ALPHA) -> InputDrift:
    """Whether the newest batch of a feature frame has drifted.

    Each column is seen as its mean, spread, missing share and categories per batch, and each of these as a series
    with level, season, weekday, moving occasions and memory (`season_aligned.steps`). A column counts once, whatever
    was looked at in it, and Holm's correction (1979) holds over columns.

    Args:
        frame: One row per observation; see `batches`.
        batch: Column with the first day of each row's batch, `Date`.
        every: How far these days are apart.
        alpha: Chance of an alarm without drift.
    """
    newest = frame[batch].max()
    if newest is None:
        return InputDrift("not enough data", "there are no rows", "", 0)
    kept = frame[batch].unique().sort(descending=True).head(LONGEST_REFERENCE[every])
    recent = frame if kept.len() == frame[batch].n_unique() else frame.filter(pl.col(batch) >= kept.min())
    return judge_batches(batches(recent, batch=batch, every=every), alpha=alpha)


def judge_batches(of: Batches, *, alpha: float = ALPHA) -> InputDrift:
    """The same from the statistics of the batches, the last of which is the newest."""
    newest, earlier = str(of.starts[-1]), len(of.starts) - 1
    undecided = InputDrift("not enough data", "", newest, earlier)
    if earlier < FEWEST_PERIODS[of.every]:
        return replace(undecided, reason=f"{earlier} earlier batches, {FEWEST_PERIODS[of.every]} are needed")
    if of.rows[-1] < FEWEST_ROWS:
        return replace(
            undecided, reason=f"the newest batch has {of.rows[-1]:.0f} rows, {FEWEST_ROWS} are needed"
        )
    expected_from = reference(of)
    if expected_from.unknown:
        names = ", ".join(expected_from.unknown)
        return replace(
            undecided, reason=f"{newest} has {names}, which the batches before it have not had twice"
        )
    findings = [
        found
        for column in dict.fromkeys(statistic.column for statistic in of.statistics)
        if (found := _clearest([each for each in of.statistics if each.column == column], expected_from))
    ]
    if not findings:
        return replace(undecided, reason="no column has values enough")
    return _answer(findings, undecided, alpha)


def discoveries(p_values: Sequence[float], rate: float) -> list[bool]:
    """Which of several p-values are discoveries, of which at most a share of `rate` is false on average.

    Benjamini and Yekutieli (2001), which holds however the tests depend on each other.
    """
    spent = sum(1 / k for k in range(1, len(p_values) + 1))
    return _step_up(p_values, rate / spent) if p_values else []


def _step_up(p_values: Sequence[float], rate: float) -> list[bool]:
    """Benjamini and Hochberg's (1995) step-up procedure."""
    ordered, count = sorted(p_values), len(p_values)
    below = [p for rank, p in enumerate(ordered, 1) if p <= rate * rank / count]
    return [bool(below) and p <= below[-1] for p in p_values]


def _clearest(statistics: Sequence[Statistic], expected_from: Reference) -> ColumnFinding | None:
    """The sign of drift in a column with the smallest p-value for its share of the chance; None if none was tested."""
    shares = _shares(statistics)
    signs = [
        ColumnFinding(
            each.column, each.kind, each.label, step.window, step.effect, _p_value(each.kind, step, share)
        )
        for each, share in zip(statistics, shares, strict=True)
        for step in steps(each.values, each.noise, expected_from)
    ]
    return min(signs, key=lambda sign: sign.p_value, default=None)


def _shares(statistics: Sequence[Statistic]) -> list[float]:
    """The share of its column's chance of a false alarm that each statistic may spend."""
    count = Counter(each.kind for each in statistics)
    whole = sum(WEIGHTS[kind] for kind in count)
    return [WEIGHTS[each.kind] / whole / count[each.kind] for each in statistics]


def _p_value(kind: Kind, step: Step, share: float) -> float:
    """Bonferroni's within a column, by shares; 1 for an effect that is too small to matter."""
    if abs(step.effect) < FLOORS[kind]:
        return 1.0
    return min(1.0, step.p_value / (share * WINDOWS[step.window]))


def _answer(findings: Sequence[ColumnFinding], undecided: InputDrift, alpha: float) -> InputDrift:
    p_values = [finding.p_value for finding in findings]
    corrected = [min(1.0, p) for p in holm(p_values)]
    found = min(corrected) <= alpha
    named = _step_up(p_values, NAMED_RATE) if found else [False] * len(findings)
    told = [
        replace(finding, corrected=p, drifted=name)
        for finding, p, name in zip(findings, corrected, named, strict=True)
    ]
    told.sort(key=lambda finding: (not finding.drifted, finding.p_value))
    names = ", ".join(f"{each.column} ({each.kind} {each.effect:+.2f})" for each in told if each.drifted)
    reason = f"{names} changed" if found else "no column is off what its season leads one to expect"
    return replace(
        undecided,
        answer="drift" if found else "no drift",
        reason=reason,
        p_value=min(corrected),
        findings=tuple(told),
    )
