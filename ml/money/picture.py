"""A picture of a money backtest."""

import io
from collections.abc import Mapping
from typing import Any

from ml.money.policies import OURS, PERFECT

WIDTH_INCHES, HEIGHT_INCHES = 4.0, 3.0
_OURS, _OTHER, _AXIS = "#1b6ca8", "#9fb8c8", "#333333"


def money_png(report: Mapping[str, Any]) -> bytes:
    """A PNG: share of perfect-information profit of each policy, one panel per critical ratio; and by class.

    Args:
        report: Of `ml.money.replay.replay`.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that only this picture needs

    margins = report["margins"]
    size = (WIDTH_INCHES * len(margins), 2 * HEIGHT_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(2, len(margins), squeeze=False, sharex="col")
    for (whole, by_class), margin in zip(panels.T, margins, strict=True):
        names = [name for name in margin["policies"] if name != PERFECT][::-1]
        shares = [margin["policies"][name]["share_of_perfect"] for name in names]
        whole.barh(names, shares, color=[_OURS if name == OURS else _OTHER for name in names])
        whole.set_title(f"critical ratio {margin['ratio']:g}")
        classes = [(name, row) for name, row in margin["classes"].items() if row[OURS] is not None]
        for name in names:
            marks = [row[name] for _, row in classes]
            colour = _OURS if name == OURS else _OTHER
            by_class.plot(marks, [label for label, _ in classes], "o", color=colour)
        for panel in (whole, by_class):
            panel.axvline(0, color=_AXIS, linewidth=0.8)
        by_class.set_xlabel("share of perfect-information profit")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
