"""What callers asked for: how much of what was sold rested on which model, and which products nobody asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ml.served import Served

MOST_NAMED: Final = 20
"""Products that nobody asked for and that are named, those with the most money first."""

_COUNTS: Final = {
    "month": pl.String(),
    "model_version": pl.Int64(),
    "model_sha256": pl.String(),
    "product_id": pl.String(),
    "answers": pl.Int64(),
}


@dataclass(frozen=True)
class Weight:
    """Something as a number and as a share of its whole; the share is None where the whole is nothing.

    Units are those sold in the month, money is units by the last price known before it, in cents.
    """

    amount: float
    share: float | None

    @classmethod
    def of(cls, amount: float, whole: float) -> "Weight":
        """The part of a whole."""
        return cls(amount, amount / whole if whole else None)


@dataclass(frozen=True)
class OfModel:
    """What rested on one model in one month.

    Attributes:
        answers: Forecasts that callers got of products, asked for by id or listed on a page.
        live: Forecasts of histories that callers sent; they have no product, so units and money are without them.
        units: Of each product as large a part as the model's part of the answers for it.
        money_cents: Of these units.
    """

    model_version: int
    model_sha256: str
    answers: Weight
    live: int
    units: Weight
    money_cents: Weight


@dataclass(frozen=True)
class Unasked:
    """Products with a forecast that nobody asked for or saw on a page; `most` are those with the most money."""

    products: int
    units: Weight
    money_cents: Weight
    most: tuple[str, ...]


@dataclass(frozen=True)
class AskedMonth:
    """One month that is over and of which anything was served.

    Attributes:
        month: YYYY-MM, the month that the forecasts were for.
        since: Of the oldest counts, ISO 8601; what was served before or after them is not in here.
        until: Of the newest.
        answers: To callers, of products.
        wape: Error of the newest forecasts with each product weighted by its answers; None where that weighs nothing.
        models: By version.
    """

    month: str
    since: str
    until: str
    answers: int
    wape: float | None
    models: tuple[OfModel, ...]
    unasked: Unasked


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        months: By month.
        answers_of_other_months: Of months that are not over, or have no forecasts in the lake.
        unreadable: Files of counts that could not be read; all sums are too small by what is in them.
    """

    months: tuple[AskedMonth, ...]
    answers_of_other_months: int
    unreadable: tuple[str, ...]


def asked_for(outcomes: pl.DataFrame, served: Sequence[Served], unreadable: Sequence[str] = ()) -> Asked:
    """What rested on which model, month by month.

    Args:
        outcomes: As `ml.impact.measure.outcomes` gives them.
        served: As `ml.served.read_served` gives them; their month is the one after the data they were made from.
        unreadable: Likewise.
    """
    by_month: dict[str, list[Served]] = {}
    for each in served:
        by_month.setdefault(month_of(each), []).append(each)
    over = {str(part["month"][0]): part for part in outcomes.partition_by("month", maintain_order=True)}
    others = [each for month, found in by_month.items() if month not in over for each in found]
    months = [_of_month(month, part, by_month[month]) for month, part in over.items() if month in by_month]
    return Asked(tuple(months), sum(map(_answers, others)), tuple(unreadable))


def month_of(served: Served) -> str:
    """The month that the forecasts are for: data versions begin with the last month that they hold."""
    return str(np.datetime64(served.data_version[:7], "M") + 1)


def _answers(served: Served) -> int:
    return served.asked.total() + served.listed.total()


def _of_month(month: str, outcomes: pl.DataFrame, served: Sequence[Served]) -> AskedMonth:
    counts = _counts(month, served)
    whole = counts.group_by("product_id").agg(all_answers=pl.col("answers").sum())
    sold = outcomes.with_columns(money=pl.col("actual") * pl.col("price"))
    asked = sold.join(whole.filter(pl.col("all_answers") > 0), on="product_id")
    share = pl.col("answers") / pl.col("all_answers")
    rested = counts.join(asked, on="product_id").with_columns(
        units=pl.col("actual") * share, money=pl.col("money") * share
    )
    units, money = float(sold["actual"].sum()), float(sold["money"].sum())
    answers = int(counts["answers"].sum())
    models = [_of_model(each, rested, found, (answers, units, money)) for each, found in _by_model(served)]
    return AskedMonth(
        month,
        min(each.since for each in served),
        max(each.until for each in served),
        answers,
        _weighted_wape(asked),
        tuple(models),
        _unasked(sold.join(asked, on="product_id", how="anti"), units, money),
    )


def _counts(month: str, served: Sequence[Served]) -> pl.DataFrame:
    """One row per snapshot and product with an answer."""
    rows = [
        (month, each.model_version, each.model_sha256, product, each.asked[product] + each.listed[product])
        for each in served
        for product in each.asked.keys() | each.listed.keys()
    ]
    return pl.DataFrame(rows, schema=_COUNTS, orient="row")


def _by_model(served: Sequence[Served]) -> list[tuple[Served, list[Served]]]:
    """Each model's snapshots, with one of them that names it, by version."""
    found: dict[str, list[Served]] = {}
    for each in sorted(served, key=lambda each: (each.model_version, each.model_sha256)):
        found.setdefault(each.model_sha256, []).append(each)
    return [(parts[0], parts) for parts in found.values()]


def _of_model(
    named: Served, rested: pl.DataFrame, parts: Sequence[Served], whole: tuple[float, float, float]
) -> OfModel:
    own = rested.filter(pl.col("model_sha256") == named.model_sha256)
    answers, units, money = whole
    return OfModel(
        named.model_version,
        named.model_sha256,
        Weight.of(sum(map(_answers, parts)), answers),
        sum(each.live for each in parts),
        Weight.of(float(own["units"].sum()), units),
        Weight.of(float(own["money"].sum()), money),
    )


def _weighted_wape(asked: pl.DataFrame) -> float | None:
    weight, actual = asked["all_answers"].to_numpy(), asked["actual"].to_numpy()
    whole = float(weight @ actual)
    return float(weight @ np.abs(actual - asked["mean"].to_numpy())) / whole if whole else None


def _unasked(rows: pl.DataFrame, units: float, money: float) -> Unasked:
    most = rows.sort("money", "product_id", descending=[True, False]).head(MOST_NAMED)
    return Unasked(
        rows.height,
        Weight.of(float(rows["actual"].sum()), units),
        Weight.of(float(rows["money"].sum()), money),
        tuple(most["product_id"]),
    )
