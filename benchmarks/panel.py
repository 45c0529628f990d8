"""The panel of many events, part by part and by bare queries: `python -m benchmarks.panel --folder F`.

Makes the events (seeded, `benchmarks.panel_events`) as Parquet below the folder unless they are there, then lets every
contender make the same panel from them in a process of its own, in turn, on as many cores as asked for. `parts` is
`ml.panel_parts` from nothing, `late` is the same after a thousand late events in one month came to a finished panel;
`polars` is one streaming query, `duckdb` one SQL script (`panel.sql`). Wall and processor seconds and the largest
memory of each process; the panels are compared row by row. One JSON object on stdout; exit code 1 if panels differ or
a bar was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl

from benchmarks.panel_events import late_events, write_events
from ml.months import shop_month
from ml.outliers import learned_from, set_aside
from ml.panel_frame import condensed, panel_of_condensed
from ml.panel_parts import PanelParts, buckets_for

ZONE: Final = "Europe/Istanbul"
LAST: Final = date(2026, 9, 1)
PRODUCTS, SEED = 50_000, 7
TIMES_BARE, PLAIN_BYTES, ONCE_BYTES, FLAT = 1.3, 300e6, 700e6, 0.10
BARE: Final = ("polars", "duckdb")
MEMORY_LIMIT: Final = "6GB"
REPEATED: Final = 0.05
KEPT: Final = "kept"
ALLOCATOR: Final = "narenas:2,dirty_decay_ms:200,muzzy_decay_ms:0"
SQL: Final = (Path(__file__).parent / "panel.sql").read_text()


def main() -> int:
    """Measure, compare, say which bars were missed."""
    options = _options()
    if options.part:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
        print(json.dumps(_measured(options)))
        return 0
    told = [_all(events, options) for events in options.events]
    print(json.dumps({"sizes": told, "missed": _missed(told)}))
    return 1 if _missed(told) else 0


def parts(data: Path, out: Path, *, repeated: bool) -> None:
    """Part by part, from nothing."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    _parts(_files(data), out, out / KEPT, repeated=repeated)


def late(data: Path, out: Path, *, repeated: bool) -> None:
    """A thousand late events of one month, after `parts`."""
    out.mkdir(exist_ok=True)
    late_events(out / "late.parquet", PRODUCTS, SEED)
    kept = out.with_name(out.name.replace("late", "parts")) / KEPT
    _parts({**_files(data), "late": out / "late.parquet"}, out, kept, repeated=repeated)


def polars(data: Path, out: Path, *, repeated: bool) -> None:
    """One streaming query over all events, and one for what is set aside before it."""
    pl.Config.set_engine_affinity("streaming")
    out.mkdir(exist_ok=True)
    events = pl.scan_parquet(data / "**" / "*.parquet", hive_partitioning=False)
    events = events.unique("event_id") if repeated else events
    rows = condensed(events.with_columns(shop_month(pl.col("occurred_at"), ZONE).alias("month")))
    aside = set_aside(rows)
    aside.write_parquet(out / "aside.parquet")
    panel_of_condensed(learned_from(rows, aside), LAST, ZONE).write_parquet(out / "panel.parquet")


def by_duckdb(data: Path, out: Path, *, repeated: bool) -> None:
    """One SQL script."""
    out.mkdir(exist_ok=True)
    spill: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(out / "spill"),
        "preserve_insertion_order": False,
    }
    once = "DISTINCT ON (event_id)" if repeated else ""
    with duckdb.connect(config=spill) as db:
        db.execute("SET TimeZone = 'UTC'")
        files = f"read_parquet('{data}/**/*.parquet', hive_partitioning = false)"
        db.execute(f"CREATE VIEW events AS SELECT {once} * FROM {files}")  # noqa: S608
        db.execute(SQL.format(zone=ZONE, last=LAST))
        for table in ("panel", "aside"):
            db.execute(f"COPY {table} TO '{out / table}.parquet'")


CONTENDERS: Final[dict[str, Callable[..., None]]] = {
    "parts": parts,
    "late": late,
    "polars": polars,
    "duckdb": by_duckdb,
}


def _files(data: Path) -> dict[str, Path]:
    return {str(file.relative_to(data)): file for file in data.rglob("*.parquet")}


def _parts(files: dict[str, Path], out: Path, kept: Path, *, repeated: bool) -> None:
    events = pl.scan_parquet(list(files.values())).select(pl.len()).collect().item()
    made = PanelParts(kept, files, buckets_for(events), ZONE, repeats=repeated)
    made.split()
    made.make(LAST)
    whole = made.merged(LAST)
    whole.panel.sink_parquet(out / "panel.parquet", engine="streaming")
    whole.aside.sink_parquet(out / "aside.parquet", engine="streaming")


def _measured(options: argparse.Namespace) -> dict[str, float]:
    """One contender, here; what importing took is not counted as time, but is as memory."""
    wall, processor = time.perf_counter(), time.process_time()
    data, out = _places(options.folder, options.events[0], options.part, repeated=options.repeated)
    CONTENDERS[options.part](data, out, repeated=options.repeated)
    return {
        "wall_seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
        "peak_bytes": _peak_bytes(),
    }


def _peak_bytes() -> float:
    """The largest memory since this program began; `ru_maxrss` would also count what started it, before the exec."""
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) * 1024


def _all(events: int, options: argparse.Namespace) -> dict[str, Any]:
    """All contenders on one number of events: medians of the runs, and of the ratios run by run."""
    data, _ = _places(options.folder, events, "", repeated=options.repeated)
    if not data.exists():
        draft = data.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        write_events(draft, events, PRODUCTS, SEED, REPEATED if options.repeated else 0.0)
        draft.rename(data)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in options.contenders}
    for _ in range(options.runs):
        for name, measures in runs.items():
            measures.append(_in_process(name, events, options))
    told: dict[str, Any] = {"events": events, "repeated": options.repeated, "load": os.getloadavg()[1]}
    for name, measures in runs.items():
        told[name] = {key: statistics.median(each[key] for each in measures) for key in measures[0]}
    told |= _ratios(runs)
    told["equal"] = _equal(
        [
            _places(options.folder, events, name, repeated=options.repeated)[1]
            for name in runs
            if name != "late"
        ]
    )
    if not options.keep:
        for name in ("", *runs):
            shutil.rmtree(
                _places(options.folder, events, name, repeated=options.repeated)[1], ignore_errors=True
            )
        shutil.rmtree(data)
    return told


def _ratios(runs: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """`parts` over the faster bare query of the same turn."""
    bare = [name for name in BARE if name in runs]
    if not bare or "parts" not in runs:
        return {}
    return {
        f"times_bare_{key}": statistics.median(
            own[key] / min(runs[name][turn][key] for name in bare) for turn, own in enumerate(runs["parts"])
        )
        for key in ("wall_seconds", "processor_seconds")
    }


def _equal(outs: Sequence[Path]) -> bool:
    """Whether all contenders made the same panel and set the same events aside."""
    for table, order in (("panel", ["product_id", "month"]), ("aside", ["event_id"])):
        first, *others = (pl.read_parquet(out / f"{table}.parquet").sort(order) for out in outs)
        if not all(other.select(first.columns).equals(first) for other in others):
            return False
    return True


def _in_process(part: str, events: int, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.panel", "--part", part, "--events", str(events)]
    command += ["--folder", str(options.folder), "--cores", str(options.cores)]
    command += ["--repeated"] if options.repeated else []
    environment = os.environ | {
        "POLARS_MAX_THREADS": str(options.cores),
        "_RJEM_MALLOC_CONF": options.allocator,
    }
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    told: dict[str, float] = json.loads(done.stdout)
    print(
        f"{events:>12,} {part:>8} {told['wall_seconds']:8.1f} s {told['processor_seconds']:8.1f} CPU-s"
        f" {told['peak_bytes'] / 1e6:8.0f} MB",
        file=sys.stderr,
    )
    return told


def _places(folder: Path, events: int, contender: str, *, repeated: bool) -> tuple[Path, Path]:
    name = f"{events}{'-repeated' if repeated else ''}"
    return folder / name, folder / f"{name}-{contender}"


def _missed(told: list[dict[str, Any]]) -> list[str]:
    missed = []
    for size in told:
        if not size["equal"]:
            missed.append(f"{size['events']}: panels differ")
        if size.get("times_bare_wall_seconds", 0.0) > TIMES_BARE:
            missed.append(
                f"{size['events']}: {size['times_bare_wall_seconds']:.2f} times the better bare query"
            )
        bar = ONCE_BYTES if size["repeated"] else PLAIN_BYTES
        if "parts" in size and size["parts"]["peak_bytes"] > bar:
            missed.append(f"{size['events']}: {size['parts']['peak_bytes'] / 1e6:.0f} MB")
    peaks = [size["parts"]["peak_bytes"] for size in told if "parts" in size]
    if peaks and max(peaks) > (1 + FLAT) * min(peaks):
        missed.append(f"memory grows from {min(peaks) / 1e6:.0f} to {max(peaks) / 1e6:.0f} MB")
    return missed


def _options() -> argparse.Namespace:
    made = argparse.ArgumentParser(prog="python -m benchmarks.panel", description=__doc__)
    made.add_argument(
        "--folder", type=Path, required=True, help="for events and results; needs 20 bytes an event"
    )
    made.add_argument("--events", type=int, nargs="+", default=[50_000_000])
    made.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    made.add_argument("--runs", type=int, default=3)
    made.add_argument("--cores", type=int, default=2)
    made.add_argument("--repeated", action="store_true", help="one event in twenty comes twice, counts once")
    made.add_argument("--keep", action="store_true", help="leave events and results in the folder")
    made.add_argument(
        "--allocator", default=ALLOCATOR, help="how Polars' allocator gives memory back [that of the image]"
    )
    made.add_argument("--part", choices=CONTENDERS, help=argparse.SUPPRESS)
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
