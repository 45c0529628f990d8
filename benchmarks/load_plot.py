"""The plot of `benchmarks.load`."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

COLOURS = {"snapshot": "#1b6ca8", "bare": "#9fb8c8"}
LABELS = {"snapshot": "forecast from the snapshot", "bare": "bare ASGI route"}
LINES = {"p50_ms": ":", "p99_ms": "--", "p99.9_ms": "-"}


def plot(loads: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """SVG of latency percentiles over the load, for each server; the same bytes for the same numbers."""
    figure = Figure(figsize=(8.0, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, measured in loads.items():
        rates = [load["rate"] for load in measured]
        for percentile, line in LINES.items():
            label = f"{LABELS[name]}, {percentile.removesuffix('_ms')}"
            latencies = [load[percentile] for load in measured]
            axes.plot(rates, latencies, line, marker="o", color=COLOURS[name], label=label)
    axes.set_yscale("log")
    axes.set_xlabel("requests a second, arriving at random")
    axes.set_ylabel("milliseconds from when a request was due")
    axes.legend()
    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "load"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
