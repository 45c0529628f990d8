"""The comparison as a page with plots; see `benchmarks.accuracy`."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.accuracy_plots import plot_coverage, plot_ratios
from benchmarks.accuracy_run import CALIBRATED, OURS, Measured
from benchmarks.m3 import KNOWN
from benchmarks.same_rows import Score
from benchmarks.shelf import versions
from ml.code_commit import code_commit

HEAD: Final = (
    "model",
    "SPL",
    "ratio to best shelf [95 % CI]",
    "MASE",
    "RMSSE",
    "bias",
    "gap",
    "coverage",
    "width",
)
SUMMARY: Final = (
    "set",
    "forecasts",
    "best shelf",
    "SPL",
    "ours",
    "SPL",
    "ratio [95 % CI]",
    "RMSSE (best of theirs)",
)
REFERENCES: Final = ("autoets", "autotheta", f"seed_recipe{CALIBRATED}")
"""What our loss is related to beside the best of the shelf; the first two with their own intervals."""


def table(measured: Measured) -> str:
    """All models of one set as a Markdown table, the smallest loss first."""
    best = measured.scores[measured.best_shelf]
    lines = [_title(measured), "", _line(HEAD), _line(["---"] * len(HEAD))]
    for name in measured.ranked:
        score, shown = measured.scores[name], f"**{name}**" if name.startswith(OURS) else name
        told = score.figures()
        shares = [f"{told[key]:.1%}" for key in ("bias", "gap", "coverage")]
        errors = [f"{told[key]:.3f}" for key in ("mase", "rmsse")]
        lines.append(
            _line(
                [shown, f"{told['spl']:.4f}", _ratio(score, best), *errors, *shares, f"{told['width']:.2f}"]
            )
        )
    return "\n".join(lines)


PROTOCOL: Final = """\
Each of the last periods of a set is forecast from what came before it. A row counts if the series had six periods, two
with sales and one of these in the last twelve; all models are scored on the same rows. SPL is twice the pinball loss at
.1, .5 and .9 over the mean absolute step of the series, averaged over rows. Gap is the larger of P(Y < q) - level and
level - P(Y <= q), but not below 0, at .1 and .9; coverage is of the closed interval between them, width its mean length
over the same step. `+cf` is a library's point forecast with our calibration from up to six of its earlier forecasts; a
name without it has the library's own interval. Ours is what `python -m ml backtest` writes: **blend** sees what the
others see, *with plan* and *with events* also what was planned or what events know. Best shelf is the model of the
libraries with the least loss on the set, chosen after the fact."""


def write_page(sets: Sequence[Measured], m3_theta: float | None, page: Path, command: str) -> None:
    """Write the page, and its plots beside it."""
    page.parent.mkdir(parents=True, exist_ok=True)
    libraries = ", ".join(f"{name} {number}" for name, number in versions().items())
    parts = [
        "# Accuracy beside what a user would pick instead",
        f"    {command}",
        PROTOCOL,
        _summary(sets),
        _means(sets),
        f"![Loss over that of the best shelf model]({plot_ratios(sets, page)})",
        f"![Coverage of 80 % intervals]({plot_coverage(sets, page)})",
        f"Commit {code_commit()[:12]}, Python {platform.python_version()}, {libraries}, {os.cpu_count()} processors.",
        *(table(measured) for measured in sets),
    ]
    if m3_theta is not None:
        parts.insert(
            5,
            f"Our Theta on the monthly series of M3, 18 months ahead: sMAPE {m3_theta:.3f} (known: {KNOWN}).",
        )
    page.write_text("\n\n".join(parts) + "\n")


def _summary(sets: Iterable[Measured]) -> str:
    lines = [_line(SUMMARY), _line(["---"] * len(SUMMARY))]
    for measured in sets:
        best, shelf = measured.scores[measured.best_shelf], _of_others(measured)
        least = min(score.figures()["rmsse"] for score in shelf)
        for name in (name for name in measured.scores if name.startswith(OURS)):
            score = measured.scores[name]
            told = score.figures()
            cells = [
                measured.name,
                f"{len(score.point):,}",
                measured.best_shelf,
                f"{best.figures()['spl']:.3f}",
            ]
            cells += [name, f"{told['spl']:.3f}", _ratio(score, best), f"{told['rmsse']:.3f} ({least:.3f})"]
            lines.append(_line(cells))
    return "\n".join(lines)


def _means(sets: Sequence[Measured]) -> str:
    """Geometric means over the sets of our loss over that of others."""
    lines = [f"Geometric mean over the {len(sets)} sets of the loss of `{OURS}` over that of", ""]
    lines.append(
        f"- the best of the shelf, set by set: **{_mean([_over(m, m.best_shelf) for m in sets]):.3f}**"
    )
    known = [m for m in sets if _fullest(m) != OURS]
    if known:
        ratios = [_over(m, m.best_shelf, _fullest(m)) for m in sets]
        lines.append(
            f"- the same, ours with the plan or events of {len(known)} sets: **{_mean(ratios):.3f}**"
        )
    there = {name: [_over(m, name) for m in sets if name in m.scores] for name in REFERENCES}
    lines += [f"- {name}: {_mean(ratios):.3f}" for name, ratios in there.items() if ratios]
    return "\n".join(lines)


def _over(measured: Measured, other: str, ours: str = OURS) -> float:
    return measured.scores[ours].ratio_to(measured.scores[other])[0]


def _fullest(measured: Measured) -> str:
    """Ours with the most known: what was planned, or events."""
    return [name for name in measured.scores if name.startswith(OURS)][-1]


def _mean(ratios: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, ratios)) / len(ratios))


def _of_others(measured: Measured) -> list[Score]:
    return [score for name, score in measured.scores.items() if not name.startswith(OURS)]


def _ratio(score: Score, best: Score) -> str:
    ratio, low, high = score.ratio_to(best)
    return f"{ratio:.3f} [{low:.3f}, {high:.3f}]"


def _title(measured: Measured) -> str:
    history, absent = measured.panel, {k: v for k, v in measured.missing.items() if v}
    told = f"{history.n:,} series, {history.T} periods, {len(measured.rows.actual):,} forecasts"
    without = "".join(
        f"; {count:,} forecasts of {name} are missing and count as 0" for name, count in absent.items()
    )
    seconds = ", ".join(f"{family} {spent:.0f}" for family, spent in measured.seconds.items())
    return f"## {measured.name}\n{told}{without}. Seconds on the clock: {seconds}."


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
