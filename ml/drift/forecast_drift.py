"""Forecast drift: does the newest month still look like what the model knows?

The newest month is compared with forecasts made before it and with the month before, and how far it lies off
is compared with how far earlier months lay off. A whole month is one observation: products of a shop rise and
fall together, so counting them as independent would find drift every month.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from ml.bundle import Bundle
from ml.distribution import Floats
from ml.drift.verdict import Answer
from ml.evaluation import eligible
from ml.features import category_totals
from ml.history import History
from ml.month_record import SMALLEST_GROUP, log_ratio, month_statistics
from ml.unusual import SMALLEST_REFERENCE, Finding, compare, corrected, is_volume

MonthStatistics = Mapping[np.datetime64, Mapping[str, float]]

LONGEST_REFERENCE: Final = 24
CHANGE_MONTHS: Final = 3


@dataclass(frozen=True)
class DriftReport:
    """The verdict on `month`, and every test behind it, surest first."""

    answer: Answer
    reason: str
    month: str
    model_sha256: str
    reference_months: int
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The report as plain values, numbers to four digits."""
        rounded = [
            {
                key: round(value, 4) if isinstance(value, float) else value
                for key, value in asdict(each).items()
            }
            for each in self.findings
        ]
        return asdict(self) | {"features": [f.name for f in self.findings if f.drifted], "findings": rounded}


def judge_forecasts(history: History, bundle: Bundle, unseen: MonthStatistics) -> DriftReport:
    """Compare the last month of a history with what a model forecast for it and with how months usually go.

    Forecasts are only compared with forecasts of months that the model had not seen: those of its backtest,
    and those since its training. So a model that has learned from the last month cannot judge it, and one
    with fewer than six tested months cannot judge any: `not enough data`.

    Args:
        history: The newest month and those before it.
        bundle: The model.
        unseen: Of `unseen_months`, for the same two.
    """
    month, learned = str(history.months[-1]), bundle.manifest.last_month
    earlier = dict(unseen)
    newest = earlier.pop(history.months[-1], {})
    report = DriftReport("not enough data", "", month, bundle.sha256, len(earlier))
    if learned >= month:
        return replace(report, reason=f"the model has learned from {learned}, so {month} is not new to it")
    if len(earlier) < SMALLEST_REFERENCE:
        needed = f"{SMALLEST_REFERENCE} are needed"
        return replace(report, reason=f"{len(earlier)} earlier months were forecast unseen, {needed}")
    if not newest:
        return replace(report, reason=f"fewer than {SMALLEST_GROUP} products sell often enough to compare")
    first = max(CHANGE_MONTHS, history.T - 1 - LONGEST_REFERENCE)
    changes = [_changes(history, t) for t in range(first, history.T)]
    findings = corrected(compare(newest, list(earlier.values())) + compare(changes[-1], changes[:-1]))
    return replace(report, **_verdict(findings, month))


def unseen_months(history: History, bundle: Bundle) -> MonthStatistics:
    """Statistics by month: those of the backtest, then those of every month since the training."""
    record = bundle.months
    found = {
        month: {name: float(values[k]) for name, values in record.values.items() if not np.isnan(values[k])}
        for k, month in enumerate(record.months)
        if month < history.months[-1]
    }
    learned = np.datetime64(bundle.manifest.last_month, "M")
    for t in np.flatnonzero(history.months > learned).tolist():
        past = history.until(t)
        prediction = bundle.predictor.predict(past, category_totals(past))
        found[history.months[t]] = month_statistics(history, t, prediction, eligible(past))
    return found


def multiplied(history: History, factor: float) -> History:
    """The same history with the units of its last month multiplied: what drift would look like."""
    units = history.units.copy()
    units[:, -1] = np.round(units[:, -1] * factor)
    return replace(history, units=units)


def _verdict(findings: tuple[Finding, ...], month: str) -> dict[str, Any]:
    found = [finding for finding in findings if finding.drifted]
    if not found:
        return {"answer": "no drift", "reason": f"{month} is like the months before it", "findings": findings}
    worst = found[0]
    change = f"{math.expm1(worst.effect):+.0%}" if is_volume(worst.name) else f"{worst.effect:+.2f}"
    reason = (
        f"{worst.name} is {change} off its usual value in {month} (p = {worst.p_value:.2g} over all tests)"
    )
    return {"answer": "drift", "reason": reason, "findings": findings}


def _changes(history: History, t: int) -> dict[str, float]:
    """Log change of shop totals from the mean of three months; earlier changes hold seasons too, as noise."""
    counted = {**history.extra, "products_sold": (history.units > 0).astype(np.float64)}
    found = {f"change:{name}": _change(np.nansum(values, axis=0), t) for name, values in counted.items()}
    units = {"shop:units": _change(np.nansum(history.units, axis=0), t)}
    return units | found | {"change:price_cents": _price_change(history, t)}


def _change(totals: Floats, t: int) -> float:
    return log_ratio(float(totals[t]), float(totals[t - CHANGE_MONTHS : t].mean()))


def _price_change(history: History, t: int) -> float:
    """Log change of the median price from last month, over products that have one in both months."""
    now, before = history.price_cents[:, t], history.price_cents[:, t - 1]
    both = ~np.isnan(now) & ~np.isnan(before)
    return log_ratio(float(np.median(now[both])), float(np.median(before[both]))) if both.any() else 0.0
