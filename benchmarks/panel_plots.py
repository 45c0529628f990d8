"""Curves of `benchmarks.panel`: `python -m benchmarks.panel_plots docs/panel-at-scale.json` writes the SVG beside it.

The file holds what the benchmark printed, a list of such objects. The same file gives the same picture, byte for byte.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS: Final = {"parts": "#1b6ca8", "late": "#7fb2d6", "polars": "#9a6324", "duckdb": "#888888"}
NAMES: Final = {
    "parts": "part by part",
    "late": "after late events",
    "polars": "bare Polars",
    "duckdb": "bare DuckDB",
}


def main(file: Path) -> int:
    """Draw processor seconds and memory against events."""
    sizes = [size for told in json.loads(file.read_text()) for size in told["sizes"] if not size["repeated"]]
    sizes.sort(key=lambda size: size["events"])
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    seconds, memory = figure.subplots(1, 2)
    for contender in COLOURS:
        _curve(seconds, sizes, contender, "processor_seconds", 1.0)
        _curve(memory, sizes, contender, "peak_bytes", 1e6)
    for axes, label in ((seconds, "processor seconds"), (memory, "largest memory of the process, MB")):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("events, millions")
        axes.set_ylabel(label)
        axes.grid(visible=True, which="both", linewidth=0.3)
    seconds.legend()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": file.stem}):
        figure.savefig(file.with_suffix(".svg"), metadata={"Date": None})
    return 0


def _curve(axes: Axes, sizes: list[dict[str, Any]], contender: str, key: str, unit: float) -> None:
    points = [(size["events"] / 1e6, size[contender][key] / unit) for size in sizes if contender in size]
    if points:
        axes.plot(*zip(*points, strict=True), marker="o", color=COLOURS[contender], label=NAMES[contender])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
