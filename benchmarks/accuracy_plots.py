"""Plots of the comparison; see `benchmarks.accuracy`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.accuracy_run import OURS, Measured

OURS_COLOUR, OTHERS_COLOUR = "#1b6ca8", "#9fb8c8"
NOMINAL = 0.8


def plot_ratios(sets: Sequence[Measured], page: Path) -> str:
    """Loss of every model over that of the best of the shelf, ours with 95 % intervals; the file's name."""
    figure = Figure(figsize=(8.0, 1.0 + 0.45 * len(sets)), layout="constrained")
    axes = figure.subplots()
    for y, measured in enumerate(reversed(sets)):
        best = measured.scores[measured.best_shelf]
        for name, score in measured.scores.items():
            ratio, low, high = score.ratio_to(best)
            if name.startswith(OURS):
                axes.errorbar(ratio, y, xerr=[[ratio - low], [high - ratio]], fmt="o", color=OURS_COLOUR)
            else:
                axes.plot(ratio, y, "|", color=OTHERS_COLOUR)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlim(right=1.5)
    axes.set_yticks(range(len(sets)), [measured.name for measured in reversed(sets)])
    axes.set_xlabel("scaled pinball loss over that of the best shelf model (ours: dots)")
    return _save(figure, page, "ratios")


def plot_coverage(sets: Sequence[Measured], page: Path) -> str:
    """Share of outcomes in 80 % intervals: ours, and those that libraries have themselves; the file's name."""
    figure = Figure(figsize=(8.0, 1.0 + 0.35 * len(sets)), layout="constrained")
    axes = figure.subplots()
    for y, measured in enumerate(reversed(sets)):
        for name, marker in ((OURS, "o"), ("autoets", "<"), ("autotheta", ">")):
            if name in measured.scores:
                share = measured.scores[name].figures()["coverage"]
                axes.plot(share, y, marker, color=OURS_COLOUR if name == OURS else OTHERS_COLOUR, label=name)
    axes.axvline(NOMINAL, color="black", linewidth=0.8)
    axes.set_yticks(range(len(sets)), [measured.name for measured in reversed(sets)])
    axes.set_xlabel("share of outcomes inside the closed 80 % interval (counts may lie above)")
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), loc="lower left")
    return _save(figure, page, "coverage")


def _save(figure: Figure, page: Path, label: str) -> str:
    name = f"{page.stem}-{label}.svg"
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(page.parent / name, metadata={"Date": None})
    return name
