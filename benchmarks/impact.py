"""What forecasts would have been worth in months of real sets: `python -m benchmarks.impact` prints one JSON object.

Time passes as in a shop. Events up to a month are taken into a lake, the panel is made, every candidate is judged and
the gate chooses, the champion forecasts the next month, and only then the events of that month are taken in. All of it
by the commands of the repository; at the end the numbers are those of `python -m ml impact`. Beside last month's units,
which that report compares with, stand those of the same month a year ago.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import polars as pl

from ml.events import canonical_product_id
from ml.history import History
from ml.impact.measure import Costs, impacts, outcomes
from ml.impact.page import to_json
from ml.lake import Lake
from ml.panel import load_history
from ml.synthetic import make_events
from ml.synthetic_month import ZONE

ROOT: Final = Path(__file__).parents[1]
SHARED: Final = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))
ORIGINS, MOST_PRODUCTS, SEED = 6, 1_000, 0
YEAR: Final = 12
MADE_UP: Final = "made-up"
MADE_UP_MONTHS: Final = 36

QUIET_DAYS: Final = 7
"""At the end of a month that is over: a sample of products that seldom sell has no event on many a day."""

UNJUDGED: Final = "a month of the past, in which nobody is asked"
"""Why a history is learned from that the quality gate did not judge: its checks are for today's events."""

TOLD: Final = (
    "products",
    "units",
    "wape",
    "naive_wape",
    "value_added",
    "stock_out_units_avoided",
    "overstock_units_avoided",
    "avoided_cents",
)
"""Fields of the report that are printed."""


@dataclass(frozen=True, eq=False)
class Shop:
    """Events of a shop.

    Attributes:
        name: Of the set.
        events: In columns that `ml ingest` knows, with `event_time` as the shop's clock shows it, without zone.
        zone: Of that clock.
        last: First day of the last month that is whole.
    """

    name: str
    events: pl.DataFrame
    zone: str
    last: date


def main() -> None:
    """Measure every set that is asked for."""
    options = _options()
    found: dict[str, Any] = {}
    for name in options.sets:
        with TemporaryDirectory() as folder:
            shop = sampled(SETS[name](options.data), options.products)
            found[name] = measured(shop, Path(folder), options.origins)
        print(name, json.dumps(found[name]["total"]), file=sys.stderr, flush=True)
    print(json.dumps({"origins": options.origins, "most_products": options.products, "sets": found}))


def measured(shop: Shop, folder: Path, origins: int) -> dict[str, Any]:
    """What the forecasts of the last months of a shop were worth; its lake, registry and store are left in `folder`.

    Returns:
        `total` and `months`: `TOLD` of `ml impact`, months also with the `candidate` that forecast it, which `version`
        that was, and whether it was trained for this month (`promoted`). `year_ago`: the same two beside the units of
        the same month a year before. `costs`: what units too few and too many are taken to cost. `seconds`.
    """
    started, state = time.monotonic(), folder / "state"
    models = [_month_passes(shop, state, month) for month in _months(shop.last, origins)]
    _take(shop, state, shop.last)
    report = _ml(shop, state, "impact")
    return {
        "total": _told(report["total"]),
        "months": [_told(month) | model for month, model in zip(report["months"], models, strict=True)],
        "year_ago": _year_ago(Lake(state / "lake")),
        "costs": report["costs"],
        "seconds": round(time.monotonic() - started),
    }


def sampled(shop: Shop, most: int) -> Shop:
    """The shop with at most `most` of its products, drawn without looking at their sales; 0 is all."""
    names = shop.events["product_id"].cast(pl.String)
    canonical = {name: canonical_product_id(name) for name in names.unique().to_list()}
    ids = sorted(set(canonical.values()))
    if most and len(ids) > most:
        ids = np.random.default_rng(SEED).choice(ids, most, replace=False).tolist()
    kept = {name for name, product in canonical.items() if product in set(ids)}
    return Shop(shop.name, shop.events.filter(names.is_in(list(kept))), shop.zone, shop.last)


def made_up(products: int, months: int = MADE_UP_MONTHS) -> Shop:
    """A shop of `python -m ml synthesize`."""
    with TemporaryDirectory() as folder:
        make_events(Path(folder), products=products, months=months)
        events = pl.read_parquet(Path(folder) / "*.parquet")
    local = pl.col("occurred_at").dt.convert_time_zone(str(ZONE)).dt.replace_time_zone(None)
    return Shop(
        MADE_UP,
        events.with_columns(local).rename({"occurred_at": "event_time"}),
        str(ZONE),
        date(2026, 10, 1),
    )


def _online_retail(data: Path) -> Shop:
    events = pl.read_parquet(_there(data / "online_retail_ii" / "events.parquet"))
    return Shop("online_retail_ii", events, "Europe/London", date(2011, 11, 1))


def _olist(data: Path) -> Shop:
    """Without the days of 2016, before a hole of months, and four rows of 2020."""
    events = pl.read_parquet(_there(data / "olist" / "events.parquet"))
    kept = events.filter(pl.col("event_time").dt.year().is_in([2017, 2018]))
    return Shop("olist", kept, "America/Sao_Paulo", date(2018, 8, 1))


def _pbs(data: Path) -> Shop:
    """Monthly totals of the last five years as one purchase at the end of a month, at what a script cost in it."""
    panel = pl.read_parquet(_there(data / "pbs" / "monthly.parquet")).filter(
        pl.col("quantity") > 0, pl.col("period") >= date(2003, 7, 1)
    )
    events = panel.select(
        event_time=pl.col("period").dt.month_end().cast(pl.Datetime("us")).dt.offset_by("12h"),
        event_type=pl.lit("purchase"),
        product_id="series_id",
        category="category",
        price=pl.col("cost") / pl.col("quantity"),
        quantity=pl.col("quantity").cast(pl.Int64),
        currency=pl.lit("AUD"),
    )
    return Shop("pbs", events, "Australia/Sydney", date(2008, 6, 1))


SETS: Final[Mapping[str, Callable[[Path], Shop]]] = {
    MADE_UP: lambda _: made_up(200),
    "online_retail_ii": _online_retail,
    "olist": _olist,
    "pbs": _pbs,
}


def _there(file: Path) -> Path:
    if not file.is_file():
        sys.exit(f"{file} is not there; name its folder with --data, or other sets with --sets {MADE_UP}")
    return file


def _months(last: date, count: int) -> Iterator[date]:
    """First days of the months before each of the `count` months that end with `last`, oldest first."""
    for back in range(count, 0, -1):
        yield (np.datetime64(last, "M") - back).astype("datetime64[D]").item()


def _month_passes(shop: Shop, state: Path, month: date) -> dict[str, Any]:
    """What is known at the end of a month is learned from, and the next month is forecast."""
    _take(shop, state, month)
    trained = _ml(shop, state, "train", "--allow-failed-quality", UNJUDGED)
    first = trained["version"] == 1
    if first or trained["promotable"]:
        _ml(shop, state, "models", "--champion", str(trained["version"]))
    made = _ml(shop, state, "forecast")
    versions = _ml(shop, state, "models")["versions"]
    (champion,) = (each for each in versions if each["version"] == made["model_version"])
    return {
        "candidate": champion["candidate"],
        "version": champion["version"],
        "promoted": trained["promotable"],
    }


def _take(shop: Shop, state: Path, month: date) -> None:
    """Take in the events up to the end of a month that are not in the lake yet, and make the panel.

    Raises:
        RuntimeError: The panel does not end with that month.
    """
    of = pl.col("event_time").dt.truncate("1mo").dt.date()
    part = shop.events.filter(of <= month if not state.exists() else of == month)
    state.mkdir(parents=True, exist_ok=True)
    file = state / f"{month}.parquet"
    part.write_parquet(file)
    _ml(shop, state, "ingest", "--events", str(file), "--timezone", shop.zone)
    last = _ml(shop, state, "panel")["last_month"]
    if last != f"{month:%Y-%m}":
        raise RuntimeError(f"{shop.name}: the panel ends with {last}, {month:%Y-%m} was to be its last month")


def _ml(shop: Shop, state: Path, *arguments: str) -> dict[str, Any]:
    """What a command of the repository answers.

    Raises:
        RuntimeError: It broke, or refused to do it.
    """
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ML_")},
        "ML_STATE": str(state),
        "ML_SHOP_ZONE": shop.zone,
        "ML_LOG_LEVEL": "error",
        "ML_LAST_DAY_TOLERANCE_DAYS": str(QUIET_DAYS),
        "ML_MAX_QUANTITY": "10000000",
        "ML_GATE_FIT_SECONDS": "6000",
        "ML_GATE_SCORE_P95_SECONDS": "60",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "ml", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    said: dict[str, Any] = json.loads(done.stdout) if done.stdout.strip() else {}
    if done.returncode not in (0, 1) or not said or "error" in said:
        raise RuntimeError(
            f"{shop.name}: {arguments[0]} ended with {done.returncode}: {said} {done.stderr[-500:]}"
        )
    return said


def _year_ago(lake: Lake) -> dict[str, Any]:
    """The report beside the units of the same month a year ago; last month's where the product was not sold then."""
    history, costs = load_history(lake), Costs.assumed()
    whole = outcomes(lake, history, costs)
    sold = [_units_a_year_before(history, *key) for key in whole.select("product_id", "month").iter_rows()]
    seasonal = pl.Series(sold, dtype=pl.Float64)
    beside = whole.with_columns(naive=pl.coalesce(seasonal, "naive"))
    report = to_json(impacts(beside, costs), costs)
    return {"total": _told(report["total"]), "months": [_told(month) for month in report["months"]]}


def _units_a_year_before(history: History, product: str, month: str) -> float | None:
    t = int((np.datetime64(month, "M") - history.months[0]).astype(np.int64)) - YEAR
    units = history.units[history.product_ids.index(product), t] if t >= 0 else np.nan
    return None if np.isnan(units) else float(units)


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"month": row["month"], **{name: row[name] for name in TOLD}}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the real sets [%(default)s]")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS), help="[all]")
    parser.add_argument("--origins", type=int, default=ORIGINS, help="last months forecast [%(default)s]")
    parser.add_argument(
        "--products",
        type=int,
        default=MOST_PRODUCTS,
        help="of a set, drawn at random; 0 is all [%(default)s]",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
