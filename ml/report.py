"""Pictures for people who judge a model."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH_INCHES, ROW_INCHES = 9.0, 0.4
_CHOSEN, _OTHER, _YARDSTICK = "#1b6ca8", "#9fb8c8", "#cccccc"


def benchmark_png(table: Sequence[Mapping[str, Any]], chosen: str) -> bytes:
    """A PNG: scaled pinball loss of every candidate, best on top, and its 80 % coverage.

    Args:
        table: Rows of `Backtest.table`.
        chosen: The candidate that is drawn in colour; yardsticks that cannot be promoted are grey.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that only training needs

    rows = sorted(
        (row for row in table if row["pinball"] is not None), key=lambda row: -float(row["pinball"])
    )
    figure = Figure(figsize=(WIDTH_INCHES, 1.2 + ROW_INCHES * len(rows)), layout="constrained")
    loss, coverage = figure.subplots(1, 2, sharey=True)
    names, colours = [row["candidate"] for row in rows], [_colour(row, chosen) for row in rows]
    loss.barh(names, [row["pinball"] for row in rows], color=colours)
    loss.set_xlabel("scaled pinball loss (lower is better)")
    coverage.plot([row["coverage_80"] for row in rows], names, "o", color=_CHOSEN)
    coverage.axvline(0.8, color="black", linewidth=0.8)
    coverage.set_xlim(0, 1)
    coverage.set_xlabel("share of months inside the 80 % interval")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _colour(row: Mapping[str, Any], chosen: str) -> str:
    if row["candidate"] == chosen:
        return _CHOSEN
    return _OTHER if row["promotable"] else _YARDSTICK
