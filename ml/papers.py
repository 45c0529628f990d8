"""What a reviewer reads of a backtest in numbers: calibration, and candidates against each other by part and month."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ml import metrics
from ml import segments as parts
from ml.choice import BASELINE, FLOOR, number
from ml.distribution import LEVELS, P10, P90, Floats, cdf
from ml.evaluation import Backtest, Judged

INTERVALS: Final = ((0.25, 0.75), (0.1, 0.9), (0.05, 0.95))
PIT_BINS: Final = 10
DIGITS: Final = 6

_HALF_UNIT: Final = 0.5

Mask = NDArray[np.bool_]


def calibration(tested: Backtest, name: str) -> dict[str, Any]:
    """How often the outcomes of the tested months fell into a candidate's intervals; None without a forecast."""
    judged = tested.judged(name)
    return {
        **_span(tested),
        "intervals": [
            {"level": round(high - low, 2), "covered": _covered(judged, low, high)} for low, high in INTERVALS
        ],
    }


def segments(tested: Backtest, challenger: str, champion: str) -> dict[str, Any]:
    """Mean scaled pinball loss of two candidates in each part of `ml.segments`; a `ratio` below 1 is for the first."""
    ours, theirs = tested.losses(challenger), tested.losses(champion)
    rows = [
        _row(kind, name, ours[part], theirs[part])
        for kind, name, part in parts.segments(tested.history, tested.origins, tested.eligible)
    ]
    return {"against": champion, "rows": rows}


def yardsticks(tested: Backtest, name: str) -> list[str]:
    """The baselines of a backtest to show beside a candidate."""
    return [each for each in (BASELINE, FLOOR) if each in tested.candidates and each != name]


def by_month_and_class(tested: Backtest, name: str) -> dict[str, Any]:
    """Where and when a candidate was how far off, and how true its uncertainty was.

    `months` and `classes` (of demand) hold the mean scaled pinball loss and the WAPE of the candidate and of the
    baselines `beside` it by name, and of the candidate the coverage and the mean scaled width of its 80 % interval.
    `levels` says for each quantile the shares of outcomes below it and up to it: a right forecast of counts has its
    level between both. `pit` is the histogram of `pit_histogram`. What has no meaning (no forecast, nothing sold)
    is None.
    """
    beside = yardsticks(tested, name)
    judged = {each: tested.judged(each) for each in (name, *beside)}
    ours = judged[name]
    months = {str(tested.history.months[t]): ours.origin == k for k, t in enumerate(tested.origins)}
    classes = {
        part: mask[ours.series, ours.origin]
        for kind, part, mask in parts.segments(tested.history, tested.origins, tested.eligible)
        if kind == "demand class"
    }
    return {
        "candidate": name,
        "beside": beside,
        **_span(tested),
        "months": [{"month": month, **_part(judged, name, use)} for month, use in months.items()],
        "classes": [{"name": part, **_part(judged, name, use)} for part, use in classes.items()],
        "levels": _levels(ours),
        "pit": _rounded(pit_histogram(ours.actual, ours.quantiles)) if len(ours.actual) else None,
    }


def pit_histogram(actual: Floats, quantiles: Floats, bins: int = PIT_BINS) -> Floats:
    """(bins,) share of the probability integral transform in each equal part of 0 to 1; 1 / bins each is right.

    Without randomising: an outcome with a mass of its own is spread evenly over it (Czado, Gneiting and Held
    2009). Whole units have the mass that lies within half a unit.

    Args:
        actual: (m,) units that came, at least one.
        quantiles: (m, 8) of the forecasts.
        bins: Number of parts.
    """
    half = _HALF_UNIT if np.all(actual == np.floor(actual)) else 0.0
    ends = np.stack([np.nextafter(actual - half, -np.inf), actual + half], axis=1)
    lower, upper = np.array([cdf(row, end) for row, end in zip(quantiles, ends, strict=True)]).T
    edges = np.linspace(0.0, 1.0, bins + 1)[:, np.newaxis]
    width = np.maximum(upper - lower, np.finfo(np.float64).tiny)
    reached = np.where(edges >= upper, 1.0, np.clip((edges - lower) / width, 0.0, 1.0))
    shares: Floats = np.diff(reached.mean(axis=1))
    return shares


def _span(tested: Backtest) -> dict[str, Any]:
    return {
        "observations": int(tested.eligible.sum()),
        "first_month": str(tested.history.months[tested.origins[0]]),
        "last_month": str(tested.history.months[tested.origins[-1]]),
    }


def _covered(judged: Judged, low: float, high: float) -> float | None:
    if not len(judged.actual):
        return None
    lower, upper = (judged.quantiles[:, LEVELS.index(level)] for level in (low, high))
    return metrics.coverage(judged.actual, lower, upper)


def _part(judged: dict[str, Judged], name: str, use: Mask) -> dict[str, Any]:
    ours, counted = judged[name], int(use.sum())
    low, high = ours.quantiles[use, P10], ours.quantiles[use, P90]
    return {
        "observations": counted,
        "units": round(float(ours.actual[use].sum()), DIGITS),
        "pinball": {each: _pinball(of, use) for each, of in judged.items()},
        "wape": {each: _wape(of, use) for each, of in judged.items()},
        "coverage_80": _rounded(metrics.coverage(ours.actual[use], low, high)) if counted else None,
        "width_80": _rounded(np.mean((high - low) / ours.scale[use])) if counted else None,
    }


def _pinball(judged: Judged, use: Mask) -> float | None:
    losses = metrics.scaled_pinball(judged.actual[use], judged.quantiles[use], LEVELS, judged.scale[use])
    return float(_rounded(np.mean(losses))) if len(losses) else None


def _wape(judged: Judged, use: Mask) -> float | None:
    sold = judged.actual[use].sum() > 0
    return float(_rounded(metrics.wape(judged.actual[use], judged.mean[use]))) if sold else None


def _levels(judged: Judged) -> list[dict[str, Any]]:
    actual, rows = judged.actual[:, np.newaxis], []
    for level, quantile in zip(LEVELS, judged.quantiles.T[:, :, np.newaxis], strict=True):
        known = len(actual) > 0
        below, up_to = ((actual < quantile).mean(), (actual <= quantile).mean()) if known else (None, None)
        rows.append({"level": level, "below": _rounded(below), "up_to": _rounded(up_to)})
    return rows


def _rounded(value: Any) -> Any:
    return None if value is None else np.round(value, DIGITS).tolist()


def _row(kind: str, name: str, ours: Floats, theirs: Floats) -> dict[str, Any]:
    challenger, champion = float(np.mean(ours)), float(np.mean(theirs))
    return {
        "kind": kind,
        "name": name,
        "observations": int(ours.size),
        "challenger": number(round(challenger, 6)),
        "champion": number(round(champion, 6)),
        "ratio": number(round(challenger / champion, 6)) if champion > 0 else None,
    }
