"""Drift: does the newest month still look like what the model knows?

The newest month is compared with forecasts made before it and with the month before, and how far it lies off
is compared with how far earlier months lay off. A whole month is one observation: products of a shop rise and
fall together, so counting them as independent would find drift every month.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ml import features
from ml.bundle import Bundle
from ml.distribution import P10, P90, Floats
from ml.errors import StoreUnavailable
from ml.evaluation import eligible
from ml.features import category_totals
from ml.history import History

Answer = Literal["no drift", "drift", "not enough data"]

ALPHA: Final = 0.05
"""Chance of an alarm in a month like the others, over all tests together."""

FAMILIES: Final = {"shop": 0.5, "category": 0.25, "feature": 0.25}
"""How that chance is shared: the shop as a whole has few tests and is what matters first."""

SMALLEST_REFERENCE: Final = 8
REPORT_MONTHS: Final = 6
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
        p_value: Corrected for the number of tests; drift is at most `ALPHA`.
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
            {
                key: round(value, 4) if isinstance(value, float) else value
                for key, value in asdict(each).items()
            }
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
        return replace(
            report, reason=f"the model has learned from {bundle.manifest.last_month}, so {month} is not new"
        )
    if usable < SMALLEST_REFERENCE:
        return replace(
            report, reason=f"{usable} earlier months to compare with, {SMALLEST_REFERENCE} are needed"
        )
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


def write_report(history: History, path: Path) -> None:
    """Evidently's picture of every feature, the newest month against the six before it, as one HTML file.

    It only shows; its tests know no seasons and do not count how many they are, so they decide nothing.

    Raises:
        StoreUnavailable: The file cannot be written.
    """
    ends = range(max(1, history.T - REPORT_MONTHS), history.T + 1)
    rows = [features.build(past, category_totals(past)) for past in map(history.until, ends)]
    with _quiet():
        import pandas as pd  # noqa: PLC0415 - only for this picture
        from evidently import Report  # noqa: PLC0415 - takes seconds to load
        from evidently.presets import DataDriftPreset  # noqa: PLC0415

        before, newest = (_varying(part) for part in (np.vstack(rows[:-1]), rows[-1]))
        shown = [name for name in before if name in newest]
        frames = (pd.DataFrame({name: part[name] for name in shown}) for part in (newest, before))
        try:
            Report([DataDriftPreset()]).run(*frames).save_html(str(path))
        except OSError as error:
            raise StoreUnavailable(f"cannot write the report to {path}: {error.strerror}") from error


def _varying(rows: Floats) -> dict[str, Floats]:
    """Features by name that have at least two values; Evidently cannot draw the others."""
    columns = zip(features.FEATURES, rows.T, strict=True)
    return {name: column for name, column in columns if len(np.unique(column[~np.isnan(column)])) > 1}


@contextmanager
def _quiet() -> Iterator[None]:
    """Evidently and what it loads warn about their own use of each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _verdict(findings: tuple[Finding, ...], month: str) -> dict[str, Any]:
    found = [finding for finding in findings if finding.drifted]
    if not found:
        return {"answer": "no drift", "reason": f"{month} is like the months before it", "findings": findings}
    worst = found[0]
    change = f"{math.expm1(worst.effect):+.0%}" if _is_volume(worst.name) else f"{worst.effect:+.2f}"
    reason = (
        f"{worst.name} is {change} off its usual value in {month} (p = {worst.p_value:.2g} over all tests)"
    )
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
    counted = {
        **history.extra,
        "units": history.units,
        "products_sold": (history.units > 0).astype(np.float64),
    }
    found = {
        f"feature:{name}": _log_ratio(float(np.nansum(values[:, t])), float(np.nansum(values[:, t - 1])))
        for name, values in counted.items()
    }
    return found | {"feature:price_cents": _price_change(history, t)}


def _price_change(history: History, t: int) -> float:
    """Log change of the median price, over products that have one in both months."""
    now, before = history.price_cents[:, t], history.price_cents[:, t - 1]
    both = ~np.isnan(now) & ~np.isnan(before)
    return _log_ratio(float(np.median(now[both])), float(np.median(before[both]))) if both.any() else 0.0


def _log_ratio(top: float, bottom: float) -> float:
    """log(top / bottom) with one unit added to both, so that nothing against nothing is no change."""
    return math.log((top + 1) / (bottom + 1))


def _tested(months: list[dict[str, float]]) -> tuple[Finding, ...]:
    """Every statistic of the newest month against the same of the earlier ones, surest first."""
    families: dict[str, list[Finding]] = {family: [] for family in FAMILIES}
    for name, value in months[-1].items():
        earlier = np.array([month[name] for month in months[:-1] if name in month])
        if len(earlier) >= SMALLEST_REFERENCE:
            usual, p = float(earlier.mean()), _p_value(value, earlier)
            floor = SMALLEST_VOLUME_EFFECT if _is_volume(name) else SMALLEST_SHARE_EFFECT
            families[_family(name)].append(Finding(name, value, usual, value - usual, floor, p))
    found = [each for family, members in families.items() for each in _corrected(members, FAMILIES[family])]
    return tuple(sorted(found, key=lambda finding: (not finding.drifted, finding.p_value)))


def _corrected(family: list[Finding], weight: float) -> Iterator[Finding]:
    """Holm's correction (1979) inside a family that may spend `weight` of the chance of an alarm."""
    so_far = 0.0
    for i, finding in enumerate(sorted(family, key=lambda finding: finding.p_value)):
        so_far = max(so_far, min(1.0, (len(family) - i) * finding.p_value / weight))
        drifted = so_far <= ALPHA and abs(finding.effect) >= finding.floor
        yield replace(finding, p_value=so_far, drifted=drifted)


def _family(name: str) -> str:
    if name.startswith("feature:"):
        return "feature"
    return "shop" if name.startswith("forecast:shop:") else "category"


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
