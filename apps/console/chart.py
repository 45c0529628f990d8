"""Geometry of the charts, in the units of their drawing; colours and text belong to the template."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.forecast.schemas import Forecast

WIDTH, HEIGHT = 720.0, 220.0
BAND_TOP, BAND_HEIGHT = 168.0, 22.0
BARS_TOP, BARS_BOTTOM = 16.0, 150.0
MARGIN = 24.0
MAX_BARS = 60


@dataclass(frozen=True)
class Box:
    """A rectangle: a bar of probability or an interval of units."""

    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A vertical line at a number of units."""

    name: str
    x: float
    units: float
    anchor: str


@dataclass(frozen=True)
class DemandChart:
    """Next month's demand: bars of probability where counts are small, intervals and marks below them."""

    bars: tuple[Box, ...]
    bands: tuple[Box, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Mark, ...]


def demand_chart(forecast: Forecast, stock_units: int | None) -> DemandChart:
    """The chart of one forecast; `stock_units` is the recommended stock, where there is a decision."""
    quantiles = forecast.quantiles
    named = {"last month": forecast.last_month_units, "mean": forecast.mean}
    if stock_units is not None:
        named["stock"] = float(stock_units)
    top = nice_ceiling(max([*quantiles.values(), *named.values(), 1.0]))

    def x(units: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * min(units, top) / top

    def mark(name: str, units: float) -> Mark:
        place = x(units)
        anchor = "start" if place < WIDTH * 0.1 else "end" if place > WIDTH * 0.9 else "middle"
        return Mark(name, place, units, anchor)

    bands = [
        Box(x(quantiles[low]), BAND_TOP, x(quantiles[high]) - x(quantiles[low]), BAND_HEIGHT, f"{low}-{high}")
        for low, high in (("0.05", "0.95"), ("0.10", "0.90"), ("0.25", "0.75"))
        if low in quantiles and high in quantiles
    ]
    return DemandChart(
        bars=tuple(_bars(forecast.probability_mass or (), top, x(1) - x(0), x)),
        bands=tuple(bands),
        marks=tuple(mark(name, units) for name, units in named.items()),
        ticks=tuple(mark("", top * step / 4) for step in range(5)),
    )
