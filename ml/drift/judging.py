"""The newest month of a shop judged as a whole: forecasts, inputs, and errors summed over months."""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from ml.bundle import Bundle
from ml.distribution import Floats
from ml.drift.forecast_drift import DriftReport, MonthStatistics, judge_forecasts, unseen_months
from ml.drift.input_drift import InputDrift, discoveries, judge_frame
from ml.drift.residual_drift import Labelled, ResidualDrift, judge_residuals
from ml.drift.verdict import Answer, combined
from ml.history import History
from ml.month_record import SHOP

MONTHLY_ALPHA: Final = 0.01
"""Chance of an alarm of the inputs in one month: with the families of `ml.unusual` and one chart alarm in
`RUN_LENGTH` months it makes five in a hundred."""

INPUT: Final = "input:"


SERIES_RATE: Final = 0.1
"""At most this share of the categories that are named is wrong, on average."""


@dataclass(frozen=True)
class Drift:
    """What each part found in the newest month; `forecasts` leads, and any part can find drift.

    `categories` are those whose own inputs drifted. They say where to look; the answer does not rest on them.
    """

    forecasts: DriftReport
    inputs: InputDrift
    residuals: ResidualDrift
    categories: tuple[str, ...] = ()

    @property
    def answer(self) -> Answer:
        """Of all parts together."""
        return combined(self.forecasts.answer, self.inputs.answer, self.residuals.answer)

    @property
    def reason(self) -> str:
        """Of the first part that gives this answer."""
        parts = (self.forecasts, self.inputs, self.residuals)
        return next(part.reason for part in parts if part.answer == self.answer)

    @property
    def p_value(self) -> float:
        """The smallest over the parts that have one, corrected over everything that they looked at."""
        found = [finding.p_value for finding in self.forecasts.findings if finding.drifted]
        inputs = [self.inputs.p_value] if self.inputs.answer == "drift" else []
        return min([*found, *inputs], default=1.0)

    @property
    def features(self) -> list[str]:
        """What drifted, of the inputs after `input:`."""
        own = [finding.name for finding in self.forecasts.findings if finding.drifted]
        return [*own, *(f"{INPUT}{column}" for column in self.inputs.columns), *self.residuals.found]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`: the fields of the forecasts' report, and of the other parts beside them."""
        whole = {"answer": self.answer, "reason": self.reason, "features": self.features}
        residuals = asdict(self.residuals) | {"found": self.residuals.found}
        inputs = self.inputs.to_json() | {"categories": list(self.categories)}
        parts = {"forecasts": self.forecasts.answer, "inputs": inputs, "residuals": residuals}
        return self.forecasts.to_json() | whole | {"parts": parts}


def judge(history: History, bundle: Bundle) -> Drift:
    """Judge the newest month of a history by what a model forecast for it, and by the months before it."""
    unseen, inputs = unseen_months(history, bundle), input_frame(history)
    return Drift(
        judge_forecasts(history, bundle, unseen),
        _monthly(inputs),
        _residuals(bundle, unseen),
        _categories(inputs),
    )


def _monthly(frame: pl.DataFrame) -> InputDrift:
    return judge_frame(frame, batch="month", every="month", alpha=MONTHLY_ALPHA)


def _categories(frame: pl.DataFrame) -> tuple[str, ...]:
    """Categories whose own inputs drifted, with a bound on the share of false ones."""
    parts = frame.partition_by("category", as_dict=True, include_key=False)
    found = {str(name): _monthly(part) for (name,), part in parts.items()}
    judged = {name: each.p_value for name, each in found.items() if each.answer != "not enough data"}
    drifted = discoveries(list(judged.values()), SERIES_RATE)
    return tuple(sorted(name for name, hit in zip(judged, drifted, strict=True) if hit))


def input_frame(history: History) -> pl.DataFrame:
    """What a model reads: one row per product and month (first day) with known units.

    `category`, and logs of one more than `units`, `price_cents` and what else the history counts; null where unknown.
    """
    known = ~np.isnan(history.units)
    row, column = np.nonzero(known)
    counted = {"units": history.units, "price_cents": history.price_cents, **history.extra}
    return pl.DataFrame(
        {
            "month": history.months.astype("datetime64[D]")[column],
            "category": np.array(history.categories, dtype=object)[row].tolist(),
            **{name: np.log1p(values[known]) for name, values in counted.items()},
        },
        schema_overrides={"category": pl.String()},
    ).with_columns(pl.col("month").cast(pl.Date))


def _residuals(bundle: Bundle, unseen: MonthStatistics) -> ResidualDrift:
    """Errors of months that the model had not seen; the months of its backtest tell what is usual."""
    learned = np.datetime64(bundle.manifest.last_month, "M")
    months = sorted(month for month, found in unseen.items() if f"{SHOP}:error" in found)
    backtested = sum(bool(month <= learned) for month in months)

    def of(name: str) -> Floats:
        return np.array([unseen[month][f"{SHOP}:{name}"] for month in months])

    statistics = {"error": of("error"), "coverage": 1 - of("outside"), "rank": of("rank")}
    judged = Labelled(
        np.array(months, dtype="datetime64[M]").astype("datetime64[D]"),
        np.full(len(months), np.inf),
        statistics,
        {name: np.zeros(len(months)) for name in statistics},
    )
    return judge_residuals(judged, backtested)
