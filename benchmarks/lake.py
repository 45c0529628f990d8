"""What many small files cost a lake, and what compaction, an erasure and a clean-up take.

    python -m benchmarks.lake --folder /tmp/lake-bench --files 500 --rows 2000

Writes made-up events in many small commits, then prints one JSON object: seconds of wall and CPU for each step, files
and bytes. The folder must not exist; it is left behind.
"""

import argparse
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ml.columns import EVENT_SCHEMA
from ml.erasure import erase
from ml.inbox_erasure import FileErasure
from ml.lake import Lake
from ml.upkeep import compact, retain

START = datetime(2024, 1, 1, tzinfo=UTC)
MONTHS = 24


def events(rng: np.random.Generator, number: int, rows: int) -> pl.DataFrame:
    """One commit: purchases of 5,000 products by 20,000 customers, most of one month, some of the month before."""
    day = (number % (MONTHS * 30)) - rng.integers(0, 3, rows)
    moment = [START + timedelta(days=int(max(0, each)), hours=10) for each in day]
    return pl.DataFrame(
        {
            "event_id": [f"e-{number}-{i}" for i in range(rows)],
            "event_type": "purchase",
            "occurred_at": moment,
            "product_id": [f"P{i}" for i in rng.integers(0, 5_000, rows)],
            "category": "bags",
            "unit_price_cents": rng.integers(100, 10_000, rows),
            "currency": "TRY",
            "quantity": rng.integers(1, 5, rows),
            "order_id": [f"o-{number}-{i // 3}" for i in range(rows)],
            "customer_id": [f"p1-00000000-{i:032x}" for i in rng.integers(0, 20_000, rows)],
            "session_id": None,
            "campaign": None,
            "segment": None,
            "source": "benchmark",
            "event_month": [f"{each:%Y-%m}" for each in moment],
        },
        schema=EVENT_SCHEMA,
    )


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Seconds of wall and CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {
        "wall_seconds": round(time.perf_counter() - wall, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
    }


def size(lake: Lake) -> dict[str, int]:
    """Files and bytes of the newest version of the events, and of all files on disk."""
    files, disk = lake.files("events"), list((lake.root / "events").rglob("*.parquet"))
    return {
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "files_on_disk": len(disk),
        "bytes_on_disk": sum(file.stat().st_size for file in disk),
    }


def main() -> None:
    """Run all steps and print what they took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--files", type=int, default=500, help="commits")
    parser.add_argument("--rows", type=int, default=2_000, help="of a commit")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    rng, lake, now = np.random.default_rng(options.seed), Lake(options.folder / "lake"), datetime.now(UTC)

    def write() -> None:
        for number in range(options.files):
            lake.append("events", events(rng, number, options.rows))

    def read() -> None:
        total = lake.read("events").group_by("product_id", "event_month").agg(pl.col("quantity").sum())
        total.collect(engine="streaming")

    said: dict[str, Any] = {"rows": options.files * options.rows, "write": timed(write), "small": size(lake)}
    said["read_small"] = timed(read)
    said["compact"] = timed(lambda: compact(lake)) | size(lake)
    said["read_compacted"] = timed(read)
    said["retain"] = timed(lambda: retain(lake, [], 0, now)) | size(lake)
    customer = lake.read("events", ["customer_id"]).head(1).collect().item()
    nowhere = FileErasure(options.folder / "no-inbox.sqlite")
    theirs = lake.read("events").filter(pl.col("customer_id") == customer).collect()
    said["erase"] = timed(lambda: erase(lake, nowhere, [customer], "UTC", now)) | size(lake)
    said["erase"] |= {"events": theirs.height, "months": theirs["event_month"].n_unique()}
    print(json.dumps(said, indent=1))


if __name__ == "__main__":
    main()
