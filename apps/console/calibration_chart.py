"""Geometry of the calibration plots: nominal against measured shares, and where outcomes lay in their forecasts."""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.console.chart import Box
from apps.console.registered import Level

SIDE, MARGIN = 240.0, 30.0
PIT_TOP_SHARES = 2.0
"""Bars end at so many times the share that is right."""


@dataclass(frozen=True)
class Span:
    """Where the measured share of one quantile lies: between the outcomes below it and those up to it."""

    x: float
    top: float
    bottom: float
    right: bool


@dataclass(frozen=True)
class PitChart:
    """The histogram, a bar for each tenth of the forecast distribution; `edge` is the height of a right forecast."""

    bars: tuple[Box, ...]
    edge: float


def reliability(levels: Sequence[Level]) -> tuple[Span, ...]:
    """One span per quantile with measured shares; a right one crosses the diagonal."""
    found = []
    for each in levels:
        if each.below is None or each.up_to is None:
            continue
        top, bottom = _place(1 - each.up_to), _place(1 - each.below)
        right = each.below <= each.level <= each.up_to
        found.append(Span(_place(each.level), top, max(bottom, top + 2), right))
    return tuple(found)


def pit_chart(shares: Sequence[float]) -> PitChart:
    """Bars of equal width, as high as the share of outcomes in that part of their forecasts."""
    width = (SIDE - 2 * MARGIN) / len(shares)
    usual = 1 / len(shares)
    bars = []
    for place, share in enumerate(shares):
        height = min(share / usual, PIT_TOP_SHARES) / PIT_TOP_SHARES
        y = _place(1 - height)
        bars.append(Box(round(MARGIN + place * width, 1), y, round(width - 2, 1), round(_place(1) - y, 1)))
    return PitChart(tuple(bars), _place(1 - 1 / PIT_TOP_SHARES))


def _place(share: float) -> float:
    return round(MARGIN + (SIDE - 2 * MARGIN) * min(max(share, 0.0), 1.0), 1)
