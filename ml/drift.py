"""Drift: does the newest month still look like what the model knows?

The newest month is compared with forecasts made before it and with the month before, and how far it lies off
is compared with how far earlier months lay off. A whole month is one observation: products of a shop rise and
fall together, so counting them as independent would find drift every month.
"""

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ml import features
from ml.bundle import Bundle
from ml.distribution import P10, P90, Floats
from ml.evaluation import eligible
from ml.features import category_totals
from ml.history import History

Answer = Literal["no drift", "drift", "not enough data"]

ALPHA: Final = 0.05
"""Chance of an alarm in a month like the others, over all tests together."""

SMALLEST_REFERENCE: Final = 8
LARGEST_REFERENCE: Final = 24
SMALLEST_GROUP: Final = 15
SMALLEST_VOLUME_EFFECT: Final = math.log(1.25)
SMALLEST_SHARE_EFFECT: Final = 0.1
SMALLEST_SPREAD: Final = 0.01
"""A statistic that never moved is taken to move by this much, or any change would be infinite."""


@dataclass(frozen=True)
class Finding:
    """One test. Values are logs of ratios for volumes (0.22 is 25 % more) and shares for the rest.

    Attributes:
        name: What was looked at, `forecast:shop:volume` or `feature:views`.
        value: Of the newest month.
        usual: Mean of the earlier months.
        effect: The difference.
        floor: A smaller effect is no drift, however sure.
        p_value: Corrected for the number of tests (Holm 1979).
        drifted: The effect is large enough and sure enough.
    """

    name: str
    value: float
    usual: float
    effect: float
    floor: float
    p_value: float
    drifted: bool = False


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
            {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(each).items()}
            for each in self.findings
        ]
        return asdict(self) | {"features": [f.name for f in self.findings if f.drifted], "findings": rounded}


def judge(history: History, bundle: Bundle) -> DriftReport:
    """Compare the last month of a history with what a model forecast for it and with how months usually go.

    A model that has learned from the last month cannot judge it: `not enough data`, like fewer than eight
    earlier months.
    """
    newest = history.T - 1
    month = str(history.months[-1])
    first = max(2, newest - LARGEST_REFERENCE)
    usable = max(0, newest - first)
    report = DriftReport("not enough data", "", month, bundle.sha256, usable)
    if bundle.manifest.last_month >= month:
        return replace(report, reason=f"the model has learned from {bundle.manifest.last_month}, so {month} is not new")
    if usable < SMALLEST_REFERENCE:
        return replace(report, reason=f"{usable} earlier months to compare with, {SMALLEST_REFERENCE} are needed")
    months = [_statistics(history, bundle, t) for t in range(first, newest + 1)]
    findings = _tested(months)
    if not findings:
        return replace(report, reason=f"fewer than {SMALLEST_GROUP} products sell often enough to compare")
    return replace(report, **_verdict(findings, month))


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
    change = f"{math.expm1(worst.effect):+.0%}" if _is_volume(worst.name) else f"{worst.effect:+.2f}"
    reason = f"{worst.name} is {change} off its usual value in {month} (p = {worst.p_value:.2g} over all tests)"
    return {"answer": "drift", "reason": reason, "findings": findings}


def _statistics(history: History, bundle: Bundle, t: int) -> dict[str, float]:
    """How month `t` went, seen from before it: forecasts by group, then features against the month before."""
    past = history.until(t)
    counted = eligible(past) & ~np.isnan(history.units[:, t])
    found = _feature_changes(history, t)
    if counted.sum() < SMALLEST_GROUP:
        return found
    prediction = bundle.predictor.predict(past, category_totals(past))
    actual = history.units[:, t]
    ranks = _ranks(prediction.levels, actual)
    outside = (actual < prediction.levels[:, P10]) | (actual > prediction.levels[:, P90])
    for name, group in _groups(history, counted):
        found[f"forecast:{name}:volume"] = _log_ratio(actual[group].sum(), prediction.mean[group].sum())
        found[f"forecast:{name}:rank"] = float(ranks[group].mean())
        found[f"forecast:{name}:outside"] = float(outside[group].mean())
    return found


def _groups(history: History, counted: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "shop", counted
    categories = np.array(history.categories)
    for name in sorted(set(history.categories)):
        group = counted & (categories == name)
        if group.sum() >= SMALLEST_GROUP:
            yield name, group


def _ranks(quantiles: Floats, actual: Floats) -> Floats:
    """(n,) share of the forecast's quantiles that lie below each outcome, those equal to it by half."""
    outcome = actual[:, np.newaxis]
    ranks: Floats = np.mean((quantiles < outcome) + 0.5 * (quantiles == outcome), axis=1)
    return ranks


def _feature_changes(history: History, t: int) -> dict[str, float]:
    """Log change of shop totals from the month before, which holds the season that earlier changes hold too."""
    found = {}
    totals: dict[str, Callable[[int], float]] = {
        name: lambda u, values=values: float(np.nansum(values[:, u])) for name, values in history.extra.items()
    }
    totals["units"] = lambda u: float(np.nansum(history.units[:, u]))
    totals["products_sold"] = lambda u: float(np.sum(history.units[:, u] > 0))
    totals["price_cents"] = lambda u: _median_price(history, t, u)
    for name, total in totals.items():
        found[f"feature:{name}"] = _log_ratio(total(t), total(t - 1))
    return found


def _median_price(history: History, t: int, u: int) -> float:
    """Median price in month u of the products that have one in t and in the month before it."""
    both = ~np.isnan(history.price_cents[:, t]) & ~np.isnan(history.price_cents[:, t - 1])
    return float(np.median(history.price_cents[both, u])) if both.any() else 0.0


def _log_ratio(top: float, bottom: float) -> float:
    """log(top / bottom) with one unit added to both, so that nothing against nothing is no change."""
    return math.log((top + 1) / (bottom + 1))


def _tested(months: list[dict[str, float]]) -> tuple[Finding, ...]:
    """Every statistic of the newest month against the same of the earlier ones, Holm-corrected."""
    raw = []
    for name, value in months[-1].items():
        earlier = np.array([month[name] for month in months[:-1] if name in month])
        if len(earlier) >= SMALLEST_REFERENCE:
            floor = SMALLEST_VOLUME_EFFECT if _is_volume(name) else SMALLEST_SHARE_EFFECT
            usual = float(earlier.mean())
            p = _p_value(value, earlier)
            raw.append(Finding(name, value, usual, value - usual, floor, p))
    raw.sort(key=lambda finding: finding.p_value)
    corrected, so_far = [], 0.0
    for i, finding in enumerate(raw):
        so_far = max(so_far, min(1.0, (len(raw) - i) * finding.p_value))
        drifted = so_far <= ALPHA and abs(finding.effect) >= finding.floor
        corrected.append(replace(finding, p_value=so_far, drifted=drifted))
    return tuple(corrected)


def _is_volume(name: str) -> bool:
    return name.startswith("feature:") or name.endswith(":volume")


def _p_value(value: float, earlier: Floats) -> float:
    """Two-sided chance of a new month this far off, by the prediction interval of a normal sample."""
    spread = max(float(earlier.std(ddof=1)), SMALLEST_SPREAD) * math.sqrt(1 + 1 / len(earlier))
    return student_two_sided(abs(value - float(earlier.mean())) / spread, len(earlier) - 1)


def student_two_sided(t: float, freedom: int) -> float:
    """P(|T| > t) of Student's distribution with whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 4)."""
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    term, total = 1.0, 0.0
    odd = freedom % 2
    if odd:
        term = cosine
    for k in range(odd + 1, freedom, 2):
        total += term
        term *= cosine * cosine * k / (k + 1)
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return max(0.0, 1.0 - inside)
