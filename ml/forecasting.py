"""From a history to the answers that a planner reads: one function for the snapshot and for live requests."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml import features
from ml.bundle import Bundle
from ml.demand_class import CLASSES, DORMANT, demand_class
from ml.distribution import LEVELS, P10, P50, P90, Floats, Prediction, last_units, masses, share_up_to
from ml.features import CategoryTotals
from ml.history import History
from ml.product_history import Plan
from ml.return_rates import ReturnRates

MOST_MASS_UNITS = 100
"""Up to this many units the probability of each number of units is part of the answer."""

DIGITS = 4
MASS_DIGITS = 6

CLOSE_SHARE = 0.25
CLOSE_UNITS = 1.0
_NORMAL_WIDTH_80 = 2.563
_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False)
_NAMES = tuple(f"{level:.2f}" for level in LEVELS)
_SMALLEST_MEAN = 0.5


@dataclass(frozen=True, eq=False)
class Forecaster:
    """A model with all that its answers need besides a product's own history.

    Args:
        bundle: The model.
        model_version: Its number in the registry.
        data_version: Of the panel that `categories` comes from.
        categories: Units of whole categories in the months before the forecast.
        sale_rate: Of dormant products, see `ml.newcomers.sale_rate`; their answers tell it where it is known.
        returns: Rates at which units come back; None where returns are not known, then answers have no `returns`.
    """

    bundle: Bundle
    model_version: int
    data_version: str
    categories: CategoryTotals
    returns: ReturnRates | None = None
    sale_rate: float | None = None

    def answers(self, history: History) -> list[bytes]:
        """One JSON object for each product, for the month after the history; the same bits in any company.

        Only a history with a plan has answers with `plan`, null for a product without one.

        Args:
            history: Every product was sold at least once, so its last month is known.
        """
        prediction = self.bundle.predictor.predict(history, self.categories)
        last, classes = history.units[:, -1].tolist(), demand_class(history)
        months = features.seen(history, history.T).months.astype(int).tolist()
        prices, plans, origin = last_prices(history), self._plans(history), self._origin()
        returned = self._returned(history, prediction)
        probabilities, quantiles = _probabilities(prediction.levels), prediction.levels.tolist()
        month, means = str(history.next_month), prediction.mean.tolist()
        asleep = {} if self.sale_rate is None else {"probability_of_sale": round(self.sale_rate, DIGITS)}
        made = []
        for i in range(history.n):
            name = CLASSES[classes[i]]
            record = self.bundle.record.of(history.product_ids[i], name)
            answer = {
                "product_id": history.product_ids[i],
                "category": history.categories[i],
                "month": month,
                **_fields(means[i], quantiles[i], last[i], probabilities[i]),
                "historical_error": None
                if record is None
                else {
                    "scaled_pinball": round(record.scaled_pinball, DIGITS),
                    "observations": record.observations,
                },
                "demand_class": name,
                "history_months": months[i],
                "last_month_units": last[i],
                **origin,
                "price_cents": prices[i],
                **({"plan": plans[i]} if history.plan else {}),
                **returned[i],
                **(asleep if classes[i] == DORMANT else {}),
            }
            made.append(encoded(answer))
        return made

    def _plans(self, history: History) -> list[dict[str, Any] | None]:
        """What is planned for the month of each product, and what it does to its units by the model's response."""
        response = self.bundle.predictor.response if history.plan else None
        lifts = np.full(history.n, np.nan) if response is None else response.split(history)[1]
        plans = (Plan.of(history, row, history.T) for row in range(history.n))
        return [
            None if plan is None else plan.model_dump() | _effect(lift)
            for plan, lift in zip(plans, lifts.tolist(), strict=True)
        ]

    def _returned(self, history: History, prediction: Prediction) -> list[dict[str, Any]]:
        """What each answer says of returns."""
        if self.returns is None:
            return [{}] * history.n
        columns = self.returns.expected(history, prediction.mean, prediction.levels)
        rows = zip(*(column.round(DIGITS).tolist() for column in columns.values()), strict=True)
        return [{"returns": dict(zip(columns, row, strict=True))} for row in rows]

    def _origin(self) -> dict[str, Any]:
        manifest, dependence = self.bundle.manifest, self.bundle.dependence
        return {
            "model_version": self.model_version,
            "model_sha256": self.bundle.sha256,
            "data_version": self.data_version,
            "calibration_id": manifest.calibration_id,
            "risk_cuts": list(manifest.risk_cuts),
            **({} if dependence is None else {"dependence": dependence.rounded(DIGITS)}),
        }


def _effect(lift: float) -> dict[str, Any]:
    """Whether the plan counted: a model without a response to plans has no lift, NaN."""
    used = not math.isnan(lift)
    return {"used": used, "lift": round(lift, DIGITS) if used else None}


def _probabilities(quantiles: Floats) -> list[list[float] | None]:
    """P(0), P(1), ... units of each row of (n, 8) quantiles; None where more than `MOST_MASS_UNITS` are possible."""
    few = last_units(quantiles) <= MOST_MASS_UNITS
    found = (mass.round(MASS_DIGITS).tolist() for mass in masses(quantiles[few]))
    return [next(found) if one else None for one in few]


def distribution_fields(mean: float, quantiles: Floats, last_month_units: float) -> dict[str, Any]:
    """What a forecast distribution says, by name, rounded.

    `demand_delta` is the change from last month in units, and as a share of last month but of at least one
    unit. `probability_mass` is null where more than 100 units are possible.

    Args:
        mean: Expected units.
        quantiles: (8,) units at `LEVELS`.
        last_month_units: What the product sold in the month before.
    """
    (probabilities,) = _probabilities(quantiles[np.newaxis])
    return _fields(mean, quantiles.tolist(), last_month_units, probabilities)


def _fields(
    mean: float, quantiles: Sequence[float], last_month_units: float, probabilities: Sequence[float] | None
) -> dict[str, Any]:
    delta = mean - last_month_units
    named = {name: round(units, DIGITS) for name, units in zip(_NAMES, quantiles, strict=True)}
    return {
        "mean": round(mean, DIGITS),
        "p10": named[_NAMES[P10]],
        "p50": named[_NAMES[P50]],
        "p90": named[_NAMES[P90]],
        "quantiles": named,
        "probability_mass": probabilities,
        "demand_delta": {
            "units": round(delta, DIGITS),
            "share": round(delta / max(last_month_units, 1.0), DIGITS),
        },
        "probability_of_increase": round(probability_of_increase(quantiles, last_month_units), DIGITS),
        "volatility": round(volatility(mean, quantiles), DIGITS),
        "confidence": round(confidence(mean, quantiles), DIGITS),
    }


def probability_of_increase(quantiles: Sequence[float], last_month_units: float) -> float:
    """P(Y > last month), in whole units: meaningful also where last month was nearly nothing."""
    return 1.0 - _up_to(quantiles, math.floor(last_month_units))


def confidence(mean: float, quantiles: Sequence[float]) -> float:
    """P(|Y - mean| <= max(1 unit, 25 % of the mean)): a probability, so it can be checked by counting."""
    near = max(CLOSE_UNITS, CLOSE_SHARE * mean)
    return _up_to(quantiles, math.floor(mean + near)) - _up_to(quantiles, math.ceil(mean - near) - 1)


def volatility(mean: float, quantiles: Sequence[float]) -> float:
    """V = CV / (1 + CV) from 0 to below 1, with CV = (q90 - q10) / (2.563 max(mean, 0.5)).

    2.563 standard deviations lie between a normal distribution's tenth and ninetieth percentile, so CV is the
    coefficient of variation that a normal forecast of this width would have; it has no unit.
    """
    variation = (quantiles[P90] - quantiles[P10]) / (_NORMAL_WIDTH_80 * max(mean, _SMALLEST_MEAN))
    return variation / (1.0 + variation)


def last_prices(history: History) -> list[int | None]:
    """Mean price of each product in the newest month where it is known, in whole cents; None if never."""
    prices: list[int | None] = []
    for row in history.price_cents:
        known = row[~np.isnan(row)]
        prices.append(max(1, round(float(known[-1]))) if known.size else None)
    return prices


def category_forecasts(answers: Sequence[bytes]) -> dict[str, dict[str, float]]:
    """Expected units and number of products of each category: the sum of its products' means.

    Quantiles are not here, because they do not add.
    """
    means: dict[str, list[float]] = {}
    for answer in map(json.loads, answers):
        means.setdefault(answer["category"], []).append(answer["mean"])
    return {
        name: {"mean": round(math.fsum(means[name]), DIGITS), "products": len(means[name])}
        for name in sorted(means)
    }


def total_forecast(categories: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The same of the shop: the sum of its categories as they are told."""
    parts = categories.values()
    return {
        "mean": round(math.fsum(part["mean"] for part in parts), DIGITS),
        "products": sum(part["products"] for part in parts),
    }


def encoded(value: object) -> bytes:
    """Compact JSON in one line; not-a-number is refused, because no reader agrees on it."""
    return _JSON.encode(value).encode()


def _up_to(quantiles: Sequence[float], units: int) -> float:
    """P(Y <= units) of whole units, as in `ml.distribution.pmf`."""
    return share_up_to(quantiles, units + 0.5) if units >= 0 else 0.0
