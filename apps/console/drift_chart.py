"""Geometry of the drift page: one bar per thing that was looked at, and the line beyond which there is drift."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from apps.forecast.schemas import DriftChart, DriftColumn

WIDTH, LABELS = 720.0, 200.0
ROW, THICK = 24, 16
MOST = 12
SURE = 0.01
"""The corrected p-value below which a column drifted, as `ml.drift` draws the line for months."""

SMALLEST_P = 1e-6
EDGE = 0.5
"""Where the line lies between no sign and the clearest that is drawn."""


@dataclass(frozen=True)
class Bar:
    """One thing that was looked at."""

    name: str
    x: float
    y: int
    width: float
    thick: int
    drifted: bool


@dataclass(frozen=True)
class Bars:
    """A chart of bars; `edge` is the place of the line."""

    bars: tuple[Bar, ...]
    edge: float
    height: int


def column_bars(columns: Sequence[DriftColumn]) -> Bars:
    """How unlikely the clearest columns are without drift: the log of their corrected p-values, the limit's is one."""
    told = sorted(columns, key=lambda column: column.corrected)[:MOST]
    return _bars(
        [
            (column.column, math.log(max(column.corrected, SMALLEST_P)) / math.log(SURE), column.drifted)
            for column in told
        ]
    )


def sum_bars(charts: Sequence[DriftChart]) -> Bars:
    """Sums over their limits."""
    return _bars(
        [
            (chart.name, chart.total / chart.limit if chart.limit > 0 else 0.0, chart.total > chart.limit)
            for chart in charts
        ]
    )


def _bars(rows: Sequence[tuple[str, float, bool]]) -> Bars:
    """Bars of values of which one lies on the line; from two times the limit on they end at the margin."""
    room = WIDTH - LABELS
    bars = tuple(
        Bar(
            name,
            LABELS,
            ROW * k + (ROW - THICK) // 2,
            round(max(1.0, room * EDGE * min(2.0, value)), 1),
            THICK,
            drifted,
        )
        for k, (name, value, drifted) in enumerate(rows)
    )
    return Bars(bars, LABELS + room * EDGE, ROW * len(rows))
