"""Forecasts at rest: written to the model store for serving and to the lake for judging, and judged there."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml import metrics
from ml.bundle import Bundle
from ml.columns import MOMENT
from ml.data_version import data_version_of
from ml.dependence import ASSUMED
from ml.distribution import LEVELS, P10, P90, Floats
from ml.drift.judging import judge
from ml.errors import NoDemand, SnapshotNotFound
from ml.evaluation import eligible
from ml.features import scale
from ml.group_forecasts import group_forecasts
from ml.history import History
from ml.lake import Lake
from ml.model_store import ModelStore
from ml.past import MOST_MONTHS, past_parts, told_before
from ml.snapshot import Snapshot, snapshot_bytes

TABLE: Final = "forecasts"
QUANTILES: Final = tuple(f"q{level:.2f}" for level in LEVELS)
SCHEMA: Final = {
    "model_sha256": pl.String(),
    "model_version": pl.Int64(),
    "data_version": pl.String(),
    "month": pl.String(),
    "product_id": pl.String(),
    "category": pl.String(),
    "mean": pl.Float64(),
    **dict.fromkeys(QUANTILES, pl.Float64()),
    "last_month_units": pl.Float64(),
    "created_at": MOMENT,
}
"""One row per model, data version and product; `month` (YYYY-MM) is the one that is forecast."""


@dataclass(frozen=True)
class Published:
    """A snapshot in the store; `rows` is how many the lake did not have yet."""

    model_version: int
    model_sha256: str
    data_version: str
    month: str
    products: int
    rows: int


@dataclass(frozen=True)
class MonthError:
    """How one model did in one month, over all products; shares are 0 to 1.

    Attributes:
        naive_wape: What last month's units would have done as a forecast.
        horizon: Months from the newest month that the model knew to the one that it forecast.
        revenue_wape: `wape` of units times the month's price; None where nothing with a price sold.
        pinball: Scaled loss over the products that a backtest counts, so the two can be compared; None without.
    """

    month: str
    model_version: int
    observations: int
    units: float
    wape: float | None
    naive_wape: float | None
    bias: float | None
    pinball: float | None
    coverage_80: float
    horizon: int
    revenue_wape: float | None


def publish(
    lake: Lake,
    store: ModelStore,
    bundle: Bundle,
    history: History,
    *,
    model_version: int,
    now: datetime,
    notes: Mapping[str, Any] = MappingProxyType({}),
) -> Published:
    """Forecast every product for the month after the history; the same model and data again add no rows.

    `notes` are told beside the answers, see `ml.snapshot.snapshot_bytes`.

    Raises:
        StoreUnavailable: The store or the lake cannot be written.
    """
    data_version = data_version_of(history).name
    drift = judge(history, bundle).answer
    told = newest_told(lake, [str(month) for month in history.months[-MOST_MONTHS:]], model_version)
    past = past_parts(history, told_before(told.to_dicts()))
    data = snapshot_bytes(
        bundle,
        model_version,
        data_version,
        history,
        now,
        drift=drift,
        groups=partial(group_forecasts, dependence=bundle.dependence or ASSUMED),
        notes={**notes, "past_parts": len(past)},
    )
    snapshot = Snapshot.from_bytes(data, bundle.sha256)
    store.put_past(bundle.sha256, data_version, past)
    store.put_snapshot(bundle.sha256, data_version, data)
    app_id = f"forecast-{bundle.sha256}-{data_version}"
    with lake.lock():
        new = lake.last_txn(TABLE, app_id) is None
        if new:
            lake.append(TABLE, _frame(snapshot), txn=(app_id, 1))
    return Published(
        model_version=model_version,
        model_sha256=bundle.sha256,
        data_version=data_version,
        month=snapshot.month,
        products=len(snapshot.answers),
        rows=len(snapshot.answers) if new else 0,
    )


def month_errors(lake: Lake, history: History) -> list[MonthError]:
    """Errors of all forecasts whose month is over, oldest first; of several in a month the newest counts.

    Raises:
        SnapshotNotFound: Nothing was forecast yet.
    """
    known = [str(month) for month in history.months]
    groups = newest_forecasts(lake, known[1:])
    return [error for group in groups if (error := _month_error(group, history)) is not None]


def newest_forecasts(lake: Lake, months: Sequence[str]) -> list[pl.DataFrame]:
    """The newest forecasts of each of these months (YYYY-MM) by each model, one frame each, by month and model.

    Raises:
        SnapshotNotFound: Nothing was forecast yet.
    """
    if not lake.exists(TABLE):
        raise SnapshotNotFound("the lake has no forecasts; run `python -m ml forecast` first")
    stored = lake.read(TABLE).filter(pl.col("month").is_in(list(months))).collect()
    newest = stored.filter(
        pl.col("created_at") == pl.col("created_at").max().over("month", "model_sha256")
    ).sort("month", "model_version", "product_id")
    return newest.partition_by("month", "model_sha256", maintain_order=True)


def newest_told(lake: Lake, months: Sequence[str], model_version: int) -> pl.DataFrame:
    """What was forecast of each product in these months (YYYY-MM) by the newest model up to a version.

    One row per product and month, by month: `product_id`, `month`, `model_version`, `mean`, `p10`, `p90`; of several
    forecasts of that model the last one. No rows where nothing was forecast yet.
    """
    columns = [pl.col(name) for name in ("product_id", "month", "model_version", "mean")]
    columns += [pl.col(QUANTILES[place]).alias(name) for place, name in ((P10, "p10"), (P90, "p90"))]
    if not lake.exists(TABLE):
        return pl.DataFrame(schema=SCHEMA).select(columns)
    known = lake.read(TABLE).filter(
        pl.col("month").is_in(list(months)) & (pl.col("model_version") <= model_version)
    )
    newest = known.filter(pl.col("model_version") == pl.col("model_version").max().over("month"))
    last = newest.filter(pl.col("created_at") == pl.col("created_at").max().over("month"))
    return last.select(columns).sort("month", "product_id").collect()


def _month_error(forecasts: pl.DataFrame, history: History) -> MonthError | None:
    month = str(forecasts["month"][0])
    t = int((np.datetime64(month, "M") - history.months[0]).astype(np.int64))
    position = {product: row for row, product in enumerate(history.product_ids)}
    sold = [product for product, row in position.items() if not np.isnan(history.units[row, t])]
    forecasts = forecasts.filter(pl.col("product_id").is_in(sold))
    if not forecasts.height:
        return None
    rows = np.array([position[product] for product in forecasts["product_id"]], dtype=np.intp)
    past, actual = history.until(t), history.units[rows, t]
    price = np.nan_to_num(history.price_cents[rows, t])
    mean, last = forecasts["mean"].to_numpy(), forecasts["last_month_units"].to_numpy()
    quantiles = forecasts.select(QUANTILES).to_numpy()
    return MonthError(
        month=month,
        model_version=int(forecasts["model_version"][0]),
        observations=len(rows),
        units=float(actual.sum()),
        wape=_share(metrics.wape, actual, mean),
        naive_wape=_share(metrics.wape, actual, last),
        bias=_share(metrics.bias, actual, mean),
        pinball=_pinball(actual, quantiles, past, rows),
        coverage_80=metrics.coverage(actual, quantiles[:, P10], quantiles[:, P90]),
        horizon=_horizon(str(forecasts["data_version"][0]), month),
        revenue_wape=_share(metrics.wape, actual * price, mean * price),
    )


def _horizon(data_version: str, month: str) -> int:
    """Months between; a data version begins with its newest month (`2026-10.…`)."""
    known = np.datetime64(data_version.partition(".")[0], "M")
    return int((np.datetime64(month, "M") - known).astype(np.int64))


def _pinball(actual: Floats, quantiles: Floats, past: History, rows: NDArray[np.intp]) -> float | None:
    use = eligible(past)[rows]
    losses = metrics.scaled_pinball(actual[use], quantiles[use], LEVELS, scale(past)[rows[use]])
    return float(np.mean(losses)) if len(losses) else None


def _share(metric: Callable[[Floats, Floats], float], actual: Floats, forecast: Floats) -> float | None:
    try:
        return metric(actual, forecast)
    except NoDemand:
        return None


def _frame(snapshot: Snapshot) -> pl.DataFrame:
    rows = [
        {
            **{name: answer[name] for name in SCHEMA if name in answer},
            **dict(zip(QUANTILES, answer["quantiles"].values(), strict=True)),
            "created_at": snapshot.created_at,
        }
        for answer in map(json.loads, snapshot.answers.values())
    ]
    return pl.DataFrame(rows, schema=SCHEMA)
