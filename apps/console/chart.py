"""Geometry of the charts, in the units of their drawing; colours and words belong to the templates."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from apps.forecast.schemas import Forecast

WIDTH, HEIGHT = 720.0, 240.0
MARGIN = 28.0
BARS_TOP, BARS_BOTTOM = 12.0, 150.0
BAND_TOP, BAND_HEIGHT = 164.0, 30.0
AXIS = 206.0
BANDS = (("0.05", "0.95"), ("0.10", "0.90"), ("0.25", "0.75"))
MAX_TICKS = 6
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)

RANGE_WIDTH, RANGE_MARGIN = 160.0, 4.0


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Mark:
    """A place on the axis of units."""

    x: float
    units: float


@dataclass(frozen=True)
class DemandChart:
    """Next month's demand: its probability above, its intervals below, on one axis of units.

    `bands` are the central 90, 80 and 50 % of outcomes, widest first.
    """

    bars: tuple[Box, ...]
    bands: tuple[Box, ...]
    median: Mark
    mean: Mark
    last_month: Mark
    stock: Mark | None
    ticks: tuple[Mark, ...]


@dataclass(frozen=True)
class Range:
    """One line of a list: where 80 % of outcomes lie on the product's own scale, and last month on it."""

    x: float
    width: float
    median: float
    last_month: float


def demand_chart(forecast: Forecast, stock_units: int | None) -> DemandChart:
    """The chart of one forecast; `stock_units` is the recommended stock where there is a decision."""
    quantiles = forecast.quantiles
    most = max(*quantiles.values(), forecast.mean, forecast.last_month_units, stock_units or 0, 1)
    step = tick_step(most)
    count = math.ceil(most / step)
    top = step * count

    def mark(units: float) -> Mark:
        return Mark(round(MARGIN + (WIDTH - 2 * MARGIN) * units / top, 1), units)

    def band(low: float, high: float) -> Box:
        left, right = mark(low).x, mark(high).x
        return Box(left, BAND_TOP, round(max(right - left, 1.5), 1), BAND_HEIGHT)

    masses = list(_masses(forecast))
    highest = max((share / (end - start) for start, end, share in masses), default=1.0)
    bars = []
    for start, end, share in masses:
        left, right = mark(max(start, -0.4)).x, mark(min(end, top)).x
        height = (BARS_BOTTOM - BARS_TOP) * share / (end - start) / highest
        if right > left and height >= 0.5:  # noqa: PLR2004 - half a pixel cannot be seen
            bars.append(Box(left, round(BARS_BOTTOM - height, 1), round(right - left, 1), round(height, 1)))
    return DemandChart(
        bars=tuple(bars),
        bands=tuple(band(quantiles[low], quantiles[high]) for low, high in BANDS),
        median=mark(forecast.p50),
        mean=mark(forecast.mean),
        last_month=mark(forecast.last_month_units),
        stock=None if stock_units is None else mark(stock_units),
        ticks=tuple(mark(step * place) for place in range(count + 1)),
    )


def _masses(forecast: Forecast) -> Iterator[tuple[float, float, float]]:
    """(from, to, probability) in units: one for each number of units, else one between two quantiles."""
    if forecast.probability_mass is not None:
        for units, share in enumerate(forecast.probability_mass):
            yield units - 0.4, units + 0.4, share
        return
    levels = sorted((float(level), units) for level, units in forecast.quantiles.items())
    least = max(levels[-1][1] / 200, 1e-9)  # quantiles that are equal still are a bar that can be seen
    for (low, start), (high, end) in pairwise(levels):
        yield start, max(end, start + least), high - low


def tick_step(most: float) -> float:
    """Units between two ticks of an axis from 0 to `most`: 1, 2, 2.5 or 5 times a power of ten, 3 to 6 apart."""
    least = most / MAX_TICKS
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in STEPS if step * power >= least * (1 - 1e-12))


def range_of(forecast: Forecast) -> Range:
    """The small chart of one forecast."""
    top = max(forecast.p90, forecast.last_month_units, 1.0)

    def x(units: float) -> float:
        return round(RANGE_MARGIN + (RANGE_WIDTH - 2 * RANGE_MARGIN) * units / top, 1)

    left, right = x(forecast.p10), x(forecast.p90)
    return Range(left, round(max(right - left, 2.0), 1), x(forecast.p50), x(forecast.last_month_units))
