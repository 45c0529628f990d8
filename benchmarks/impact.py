"""What forecasts were worth on a real shop and on the generated one: `python -m benchmarks.impact`.

The platform's own verbs on a state of their own: events are taken in, a model is trained that has not seen the last
months, forecasts each of them from the months before it, and `ml impact` tells what stocking by them was worth.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import polars as pl

from benchmarks.drift_real_weeks import EVENTS

GENERATED_MONTHS: Final = 37
MONTHS: Final = 6


def main() -> None:
    """Print one row for each shop."""
    parser = argparse.ArgumentParser(description=__doc__)
    shops: dict[str, Callable[[Path, int], list[str]]] = {
        "online_retail_ii": _online_retail_ii,
        "generated": _generated,
    }
    parser.add_argument("--shops", nargs="*", choices=shops, default=list(shops))
    parser.add_argument("--products", type=int, default=400, help="drawn of the shop's [%(default)s]")
    options = parser.parse_args()
    print("| shop | model | forecasts | value added | stock-out units | overstock units | money |")
    print("|---|---|---|---|---|---|---|")
    for name in options.shops:
        began = time.monotonic()
        with TemporaryDirectory() as folder:
            made = shops[name](Path(folder), options.products)
            print(f"| {name} | {_row(*_told(Path(folder), made))} |", flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)


def _online_retail_ii(folder: Path, products: int) -> list[str]:
    """Purchases of products that were sold in ten months or more, drawn at random."""
    sold = pl.col("event_type") == "purchase", pl.col("price") > 0, pl.col("category") != "_non_product"
    rows = pl.read_parquet(EVENTS).filter(*sold).unique(maintain_order=True)
    months = rows.group_by("product_id").agg(pl.col("event_time").dt.truncate("1mo").n_unique())
    often = months.filter(pl.col("event_time") >= 10)["product_id"].sort()  # noqa: PLR2004 - as it says above
    drawn = often.sample(min(products, len(often)), seed=9).implode()
    rows.filter(pl.col("product_id").is_in(drawn)).write_parquet(folder / "events.parquet")
    return ["--events", str(folder / "events.parquet"), "--timezone", "Europe/London", "--currency", "GBP"]


def _generated(folder: Path, products: int) -> list[str]:
    of = ["--products", str(products), "--months", str(GENERATED_MONTHS)]
    _ml(folder, "synthesize", "--out", str(folder / "events"), *of)
    return ["--events", str(folder / "events")]


def _told(folder: Path, events: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `train` and `impact` say."""
    _ml(folder, "ingest", *events)
    last = pl.Series([_ml(folder, "panel")["last_month"]]).str.to_date("%Y-%m")
    until = [str(last.dt.offset_by(f"-{back}mo").dt.strftime("%Y-%m")[0]) for back in range(MONTHS, 0, -1)]
    trained = _ml(folder, "train", "--until", until[0], "--allow-failed-quality", "a measurement")
    for month in until:
        _ml(folder, "forecast", "--model", "challenger", "--until", month)
    return trained, _ml(folder, "impact")


def _ml(folder: Path, *arguments: str) -> dict[str, Any]:
    """The answer of a verb, which may be a no."""
    command = [sys.executable, "-m", "ml", "--log-level", "error", *arguments]
    given = {"ML_STATE": str(folder / "state"), "ML_PSEUDONYM_KEY": "a-pseudonym-key-of-a-measurement"}
    done = subprocess.run(
        command, env={**os.environ, **given}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode > 1 or not done.stdout:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _row(trained: dict[str, Any], told: dict[str, Any]) -> str:
    total = told["total"]
    plans = total["naive"], total["forecast"]

    def change(name: str, factor: float = 1.0) -> str:
        naive, ours = (plan[name] * factor for plan in plans)
        return f"{naive:,.0f} → {ours:,.0f} ({ours / naive - 1:+.0%})"

    return " | ".join(
        [
            str(trained["candidate"]),
            f"{total['products']:,} of {len(told['months'])} months",
            f"{total['naive_wape']:.3f} - {total['wape']:.3f} = {total['value_added']:+.3f}",
            change("stock_out_units"),
            change("overstock_units"),
            change("cost_cents", 0.01),
        ]
    )


if __name__ == "__main__":
    main()
