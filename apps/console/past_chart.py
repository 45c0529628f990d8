"""Geometry of a product's past: what it sold month by month, what had been forecast, and what comes next."""

import math
from dataclasses import dataclass

from apps.console.chart import MARGIN, WIDTH, tick_step
from apps.console.track_record import months_of
from apps.forecast.schemas import Forecast, Past

SHOWN_MONTHS = 36
LEFT, TOP, BOTTOM = 56.0, 12.0, 206.0
MOST_LABELS = 6


@dataclass(frozen=True)
class Point:
    """Units of a month."""

    x: float
    y: float
    month: str
    units: float


@dataclass(frozen=True)
class Tick:
    """A place on the upright axis of units."""

    y: float
    units: float


@dataclass(frozen=True)
class Interval:
    """80 % of outcomes of a month, with the mean; `y` is at P90."""

    x: float
    y: float
    width: float
    height: float
    mean: float
    month: str
    low: float
    high: float
    units: float


@dataclass(frozen=True)
class PastChart:
    """The newest months and the coming one on one axis of units.

    `line` is the path of the units sold, `labels` the points whose month is written below them.
    """

    line: str
    points: tuple[Point, ...]
    told: tuple[Interval, ...]
    coming: Interval
    ticks: tuple[Tick, ...]
    labels: tuple[Point, ...]


def past_chart(past: Past, forecast: Forecast) -> PastChart:
    """The chart of at most `SHOWN_MONTHS` months of a product, and of its forecast after them."""
    shown = list(zip(months_of(past), past.units, strict=True))[-SHOWN_MONTHS:]
    place = {month: k for k, (month, _) in enumerate(shown)}
    told = [each for each in past.forecasts if each.month in place]
    most = max(*(units for _, units in shown), *(each.p90 for each in told), forecast.p90, forecast.mean, 1.0)
    step = tick_step(most)
    count = math.ceil(most / step)
    room = (WIDTH - MARGIN - LEFT) / (len(shown) + 1)

    def x(k: int) -> float:
        return round(LEFT + room * (k + 0.5), 1)

    def y(units: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * units / (step * count), 1)

    def interval(k: int, month: str, low: float, high: float, mean: float) -> Interval:
        width = round(min(room * 0.7, 18.0), 1)
        height = round(max(y(low) - y(high), 1.5), 1)
        return Interval(round(x(k) - width / 2, 1), y(high), width, height, y(mean), month, low, high, mean)

    points = tuple(Point(x(k), y(units), month, units) for k, (month, units) in enumerate(shown))
    labelled = max(1, math.ceil((len(shown) + 1) / MOST_LABELS))
    return PastChart(
        line="M" + "L".join(f"{point.x} {point.y}" for point in points),
        points=points,
        told=tuple(interval(place[each.month], each.month, each.p10, each.p90, each.mean) for each in told),
        coming=interval(len(shown), forecast.month, forecast.p10, forecast.p90, forecast.mean),
        ticks=tuple(Tick(y(step * k), step * k) for k in range(count + 1)),
        labels=points[::labelled],
    )
