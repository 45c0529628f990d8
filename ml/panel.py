"""The panel: one row per product and month, from events; and the history that models read from it."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.data_version import DataVersion, data_version_of
from ml.errors import NotEnoughHistory
from ml.history import History
from ml.lake import Lake
from ml.months import last_complete_month, shop_month
from ml.outliers import counted, learned_from, set_aside
from ml.panel_frame import no_purchase, panel_of
from ml.panel_parts import PARTS, Made, PanelParts, buckets_for
from ml.plan_table import with_lake_plan
from ml.quality import check_panel
from ml.settings import MlSettings
from ml.spark_result import SparkResult
from ml.stock import demand_history
from ml.version_table import named, note

__all__ = [
    "DataVersion",
    "PanelReport",
    "build_panel",
    "data_version_of",
    "load_history",
    "note_data_version",
    "noted_history",
]

_LOG = logging.getLogger(__name__)

_HISTORY_COLUMNS: Final[Mapping[str, str]] = {
    "units": "units",
    "price_cents": "mean_price_cents",
    "orders": "orders",
    "buyers": "buyers",
    "views": "views",
    "carts": "carts",
    "returned_units": "returns_received",
    "largest_order": "largest_order",
    "active_days": "active_days",
}
"""Panel column by history column. A model sees returns in the month they came: the panel's `returned_units`
of a month still change afterwards, so a past origin would see its future in them."""


@dataclass(frozen=True)
class PanelReport:
    """Size of a panel, its first and last month (YYYY-MM) and the name of its data version.

    `set_aside` counts events of the lake that are not learned from, by the reasons of `ml.outliers`;
    `products_without_row` counts products that have events and no row, by reason.
    """

    rows: int
    products: int
    first_month: str
    last_month: str
    data_version: str
    set_aside: Mapping[str, int]
    products_without_row: Mapping[str, int]

    def to_json(self) -> dict[str, object]:
        """The report as plain values for `json.dumps`."""
        return asdict(self)


def build_panel(lake: Lake, settings: MlSettings, now: datetime) -> PanelReport:
    """Write the panel of all events up to the last complete month, and its data version.

    A month is complete when the newest event is at most `last_day_tolerance_days` before its end and `now` is
    `lateness_days` after it. Events that `ml.outliers` sets aside stay in the lake and out of the panel. Building
    from the same events again writes nothing.

    Raises:
        NotEnoughHistory: There is no complete month with a purchase.
        QualityGateFailed: The panel breaks a rule of `ml.quality`.
        StoreUnavailable: The lake cannot be written.
    """
    with lake.lock():
        parts = parts_of(lake, settings)
        parts.split()
        parts.make(closed_month(parts, settings, now))
        return merge_panel(lake, settings, now)


def parts_of(lake: Lake, settings: MlSettings) -> PanelParts:
    """The parts of the panel of all events, kept beside the lake's tables."""
    files = {f"{file.parent.name}/{file.name}": file for file in lake.files("events")}
    events = pl.scan_parquet(list(files.values())).select(pl.len()).collect().item() if files else 0
    return PanelParts(
        folder=lake.root / PARTS,
        files=files,
        buckets=buckets_for(events),
        zone=settings.shop_zone,
        trusted=settings.trusted_events,
        repeats=settings.repeated_events,
    )


def closed_month(parts: PanelParts, settings: MlSettings, now: datetime) -> date:
    """The last complete month of the events that the parts are of, see `build_panel`.

    Raises:
        NotEnoughHistory: There are no events.
        PartsMissing: They are not all split.
    """
    return last_complete_month(parts.newest(), settings, now)


def merge_panel(lake: Lake, settings: MlSettings, now: datetime) -> PanelReport:
    """Write the panel from its parts, as `build_panel` does when it has made them.

    Raises:
        PartsMissing: A part is not there, or was made from other events.
        NotEnoughHistory: As `build_panel`, as are the others.
        QualityGateFailed: The same.
        StoreUnavailable: The same.
    """
    with lake.lock():
        parts = parts_of(lake, settings)
        last_month = closed_month(parts, settings, now)
        report = write_panel(lake, parts.merged(last_month), last_month, now)
        parts.tidy(last_month)
    return report


def take_panel(lake: Lake, folder: Path, now: datetime) -> PanelReport:
    """Write the panel that the Spark job left in a folder (`ml.spark_panel`).

    Raises:
        PartsMissing: The job did not finish, or its result is not whole or of other events.
        NotEnoughHistory: As `build_panel`, as are the others.
        QualityGateFailed: The same.
        StoreUnavailable: The same.
    """
    result = SparkResult.read(folder)
    with lake.lock():
        return write_panel(lake, result.made(folder, lake.files("events")), result.last_month, now)


def write_panel(lake: Lake, made: Made, last_month: date, now: datetime) -> PanelReport:
    """Write what was made of the lake's events, and note its data version; the caller holds the lake's lock.

    Raises:
        NotEnoughHistory: There is no row.
        QualityGateFailed: The panel breaks a rule of `ml.quality`.
        StoreUnavailable: The lake cannot be written.
    """
    panel, aside = _sorted(made.panel), made.aside.sort("event_id").collect(engine="streaming")
    if panel.height == 0:
        raise no_purchase(last_month)
    check_panel(panel)
    if not lake.read("set_aside").sort("event_id").collect().equals(aside):
        lake.overwrite("set_aside", aside)
    if not (lake.exists("panel") and _sorted(lake.read("panel")).equals(panel)):
        lake.overwrite("panel", panel)
    history = _told(lake, history_of(panel))
    version = note(lake, history, now, built=True)
    return PanelReport(
        rows=panel.height,
        products=history.n,
        first_month=str(history.months[0]),
        last_month=version.last_month,
        data_version=version.name,
        set_aside=counted(aside),
        products_without_row=made.without,
    )


def load_history(lake: Lake, until: str | None = None) -> History:
    """The panel up to and with month `until` (YYYY-MM; None: its end) and its plan, products sorted by id.

    Months in which a product was out of stock have its estimated demand (`ml.censoring`). A product's category is
    its latest known one as of that month, and products first sold later are absent: what happened after `until`
    leaves no trace.

    Raises:
        NotEnoughHistory: There is no panel yet, or it does not reach from a first sale to `until`.
    """
    panel = _sorted(lake.read("panel"))
    if panel.height == 0:
        raise NotEnoughHistory("the lake has no panel; run `python -m ml panel` after an import")
    if until is None:
        return _told(lake, history_of(panel))
    months = panel["month"].unique().sort()
    if until not in set(months.dt.strftime("%Y-%m")):
        raise NotEnoughHistory(
            f"month {until!r} is not in the panel, which has {months[0]:%Y-%m} to {months[-1]:%Y-%m}"
        )
    return _told(lake, history_of(panel.filter(pl.col("month").dt.strftime("%Y-%m") <= until)))


def note_data_version(lake: Lake, now: datetime) -> DataVersion:
    """The version of the panel with its plan and stock, noted with the Delta versions it was first built from.

    Raises:
        NotEnoughHistory: There is no panel yet.
        StoreUnavailable: The lake cannot be written.
    """
    with lake.lock():
        return note(lake, load_history(lake), now)


def noted_history(lake: Lake, now: datetime, until: str | None = None) -> History:
    """What `load_history` gives, its data version noted: what a run learns from or forecasts with.

    A warning is logged when the events behind it are not all there any more; `panel` then builds it anew.

    Raises:
        NotEnoughHistory: As `load_history`.
        StoreUnavailable: The lake cannot be written.
    """
    with lake.lock():
        history = load_history(lake, until)
        version = note(lake, history, now)
        if lost := named(lake, version.name).lost:
            _LOG.warning("data_version_lost", extra={"data_version": version.name, "lost": dict(lost)})
    return history


def _told(lake: Lake, history: History) -> History:
    """With what the shop told beside its events: months without stock, and plans."""
    return with_lake_plan(lake, demand_history(lake, history))


def history_of_events(
    events: pl.DataFrame, settings: MlSettings, now: datetime
) -> tuple[History, dict[str, int]]:
    """What `build_panel` and `load_history` would give for these events (`EVENT_SCHEMA`) alone.

    Also how many of them were set aside, by reason.

    Raises:
        NotEnoughHistory: There is no complete month with a purchase.
    """
    dated = _dated(events.lazy(), settings)
    aside = set_aside(dated, settings.trusted_events)
    last_month = last_complete_month(events.select(pl.col("occurred_at").max()).item(), settings, now)
    return history_of(panel_of(learned_from(dated, aside), last_month, settings.shop_zone)), counted(aside)


def _dated(events: pl.LazyFrame, settings: MlSettings) -> pl.LazyFrame:
    return events.with_columns(shop_month(pl.col("occurred_at"), settings.shop_zone).alias("month"))


def _sorted(frame: pl.LazyFrame) -> pl.DataFrame:
    return frame.sort("product_id", "month").collect(engine="streaming")


def history_of(panel: pl.DataFrame) -> History:
    """Arrays of a sorted panel that starts each product at its first sale."""
    products = panel.group_by("product_id", maintain_order=True).agg(pl.col("category").last())
    row = panel["product_id"].rle_id().to_numpy()
    month = panel["month"].to_numpy().astype("datetime64[M]")
    months = np.arange(month.min(), month.max() + np.timedelta64(1, "M"))
    column = (month - months[0]).astype(np.intp)
    shape = products.height, len(months)
    arrays = {
        name: _dense(panel[source], shape, row, column, np.nan if name in ("units", "price_cents") else 0.0)
        for name, source in _HISTORY_COLUMNS.items()
    }
    return History(
        product_ids=tuple(products["product_id"]),
        categories=tuple(products["category"]),
        months=months,
        units=arrays.pop("units"),
        price_cents=arrays.pop("price_cents"),
        extra=arrays,
    )


def _dense(
    values: pl.Series, shape: tuple[int, int], row: NDArray[np.uint32], column: NDArray[np.intp], empty: float
) -> NDArray[np.float64]:
    dense = np.full(shape, empty)
    dense[row, column] = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return dense
