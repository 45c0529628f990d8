"""Bars of `benchmarks.drift`: `python -m benchmarks.drift_plot docs/drift.json` writes the SVG beside it.

The file holds shares that the benchmark printed. The same file gives the same picture, byte for byte.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS, OTHER, BAR = "#1b6ca8", "#9fb8c8", "#b0623a"
PANELS: Final = {
    "false_alarms": "Alarms where nothing drifted (bar: at most)",
    "found": "Injected drift that was found (bar: at least)",
}


def main(file: Path) -> int:
    """Draw one panel of false alarms and one of what was found, each with its bar."""
    told = json.loads(file.read_text())
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    sizes = [len(told[name]) for name in PANELS]
    for axes, (name, title) in zip(figure.subplots(2, 1, height_ratios=sizes), PANELS.items(), strict=True):
        _panel(axes, told[name], title)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": file.stem}):
        figure.savefig(file.with_suffix(".svg"), metadata={"Date": None})
    return 0


def _panel(axes: Axes, rows: Sequence[dict[str, Any]], title: str) -> None:
    places = range(len(rows))[::-1]
    colours = [OURS if row["ours"] else OTHER for row in rows]
    axes.barh(places, [row["share"] for row in rows], color=colours)
    axes.vlines(
        [row["bar"] for row in rows], [p - 0.45 for p in places], [p + 0.45 for p in places], color=BAR
    )
    for place, row in zip(places, rows, strict=True):
        axes.annotate(
            f" {row['share']:.1%} of {row['runs']:,}", (row["share"], place), va="center", fontsize=8
        )
    axes.set_yticks(places, [row["name"] for row in rows])
    axes.set(title=title, xlim=(0, 1.2), xticks=[0, 0.25, 0.5, 0.75, 1.0])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
