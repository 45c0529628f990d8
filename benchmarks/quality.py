"""How often the quality gate errs: `python -m benchmarks.quality` prints the tables of docs/data-quality.md.

Shops in which nothing is wrong are judged day by day, each day against the weeks before it; then faults are put into
single days. Real sets are read from SHARED_DATA where they are there, with the public holidays of their country known.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from ml.columns import EVENT_SCHEMA
from ml.data_gate.check import closed
from ml.data_gate.gate import OF_RECENT
from ml.data_gate.recent import Recent, recent_of
from ml.data_gate.settings import QualitySettings
from ml.drift.occasions import easter
from ml.file_checks import ALLOWABLE
from ml.ingest import accepted_events
from ml.progress import silent
from ml.settings import MlSettings
from ml.synthetic import make_events
from tests.ml.data_gate.steady_shop import FAULTS, SOURCES, ZONE, lake_rows, steady_shop

DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
REFERENCE_DAYS, FIRST_DAYS = 56, 60


@dataclass(frozen=True)
class Shop:
    """A shop without faults: events in `EVENT_SCHEMA`, its zone, and the days that it knows to be unusual."""

    events: pl.DataFrame
    zone: str = ZONE
    known: tuple[date, ...] = ()


def main() -> None:
    """Print one table of false alarms and one of what is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--days", type=int, default=15, help="days of each shop that get each fault [%(default)s]"
    )
    parser.add_argument("--seeds", type=int, default=3, help="steady shops of each size [%(default)s]")
    options, started = parser.parse_args(), time.process_time()
    alarms, powers = {}, {}
    for name, parts in chain(_real(), _steady(options.seeds), _seasonal()):
        alarms[name], powers[name] = _alarms(parts), _power(parts[0], options.days)
        print(name, alarms[name], powers[name], file=sys.stderr, flush=True)
    _print_alarms(alarms)
    _print_powers(powers)
    print(f"\n{time.process_time() - started:.0f} s of processor")


def _steady(seeds: int) -> Iterator[tuple[str, list[Shop]]]:
    for per_day in (50, 200, 1_000):
        shops = [Shop(steady_shop(float(per_day), 200, seed)) for seed in range(seeds)]
        yield f"steady, {per_day:,} a day", shops


def _seasonal() -> Iterator[tuple[str, list[Shop]]]:
    with TemporaryDirectory() as folder:
        make_events(
            Path(folder), products=200, months=24, seed=7, end="2026-11-20", shift=None, progress=silent
        )
        frame = pl.read_parquet(Path(folder) / "*.parquet")
    yield "made-up shop, season", [Shop(lake_rows(_sources(frame)))]


def _real() -> Iterator[tuple[str, list[Shop]]]:
    for name, zone, known in (
        ("online_retail_ii", "Europe/London", _british_holidays()),
        ("olist", "America/Sao_Paulo", _brazilian_holidays()),
    ):
        path = DATA / name / "events.parquet"
        if path.exists():
            options: dict[str, Any] = {
                "mapping": {},
                "timezone": zone,
                "currency": None,
                "allow": frozenset(ALLOWABLE),
            }
            settings, now = MlSettings(shop_zone=zone), datetime.now(UTC)
            taken = accepted_events(path, settings, now=now, progress=silent, **options)
            whole = lake_rows(
                _sources(taken.filter(pl.col("occurred_at") < datetime(2018, 8, 25, tzinfo=UTC))), zone
            )
            yield name, [Shop(whole, zone, known)]


def _sources(frame: pl.DataFrame) -> pl.DataFrame:
    """With five sources that the set does not name, an order in one of them."""
    order = pl.coalesce("order_id", "event_id") if "order_id" in frame.columns else pl.col("event_id")
    place = order.hash(seed=1) % len(SOURCES)
    return frame.with_columns(pl.lit(pl.Series(SOURCES)).gather(place).alias("source"))


def _alarms(shops: list[Shop]) -> tuple[int, Counter[str]]:
    """Days judged, and on how many of them each check failed; `gate` is any of them, `warns` the gate's warnings."""
    days, found = 0, Counter[str]()
    for shop in shops:
        for recent in _by_day(shop):
            verdicts = {
                name: closed(name, partial(check, recent)).verdict for name, check in OF_RECENT.items()
            }
            failed = [name for name, verdict in verdicts.items() if verdict == "fail"]
            found.update(
                [*failed, *(["gate"] if failed else ["warns"] if "warn" in verdicts.values() else [])]
            )
            days += 1
    return days, found


def _by_day(shop: Shop) -> Iterator[Recent]:
    """Every day that has weeks enough before it, as the newest one; known days are not judged."""
    settings = QualitySettings(days=1, known_days=shop.known)
    newest: datetime = shop.events["occurred_at"].max()  # type: ignore[assignment]
    whole = recent_of(shop.events.lazy(), settings.model_copy(update={"days": 5_000}), shop.zone, None)
    assert whole is not None, newest  # noqa: S101 - there are events
    for last in range(FIRST_DAYS, len(whole.days)):
        day = whole.days[last]
        if (day - np.datetime64(whole.first)).astype(int) < FIRST_DAYS or day.item() in shop.known:
            continue
        days = whole.days[last - REFERENCE_DAYS : last + 1]
        events = whole.events.filter(pl.col("day").is_between(days[0].item(), days[-1].item()))
        yield replace(
            whole, rows=events.select(*EVENT_SCHEMA), events=events, days=days, judged=1, settings=settings
        )


def _power(shop: Shop, count: int) -> dict[str, Counter[str]]:
    """For each fault, on how many of `count` days each check failed; `gate` is any of them."""
    settings = QualitySettings(days=1, known_days=shop.known)
    local = shop.events["occurred_at"].dt.convert_time_zone(shop.zone).dt.date()
    busy = local.value_counts(name="events").filter(pl.col("events") >= settings.smallest_events)[
        "occurred_at"
    ]
    possible = sorted(set(busy) - set(shop.known))[2 * FIRST_DAYS : -1]
    rng = np.random.default_rng(0)
    chosen = sorted(rng.choice(len(possible), min(count, len(possible)), replace=False))
    found = {name: Counter[str]() for name in FAULTS}
    for day in (possible[i] for i in chosen):
        good = _until(shop, day)
        for name, fault in FAULTS.items():
            recent = recent_of(fault(good, shop.zone).lazy(), settings, shop.zone, None)
            assert recent is not None, name  # noqa: S101 - there are events
            failed = [n for n, c in OF_RECENT.items() if closed(n, partial(c, recent)).verdict == "fail"]
            found[name].update([*failed, "days", *(["gate"] if failed else [])])
    return found


def _until(shop: Shop, day: date) -> pl.DataFrame:
    """Four months of events up to a day, and one event on the morning after it."""
    end = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(shop.zone)) + timedelta(days=1)
    moment = pl.col("occurred_at")
    kept = shop.events.filter(
        (moment < end.astimezone(UTC)) & (moment >= (end - timedelta(days=2 * FIRST_DAYS)).astimezone(UTC))
    )
    after = kept.tail(1).with_columns(
        pl.lit("after").alias("event_id"),
        pl.lit(end.astimezone(UTC) + timedelta(hours=6)).alias("occurred_at"),
    )
    return lake_rows(pl.concat([kept, after.select(kept.columns)]), shop.zone)


def _print_alarms(alarms: Mapping[str, tuple[int, Counter[str]]]) -> None:
    _head("fails though nothing is wrong", [f"{name}, {days:,} days" for name, (days, _) in alarms.items()])
    for check in (*OF_RECENT, "gate", "warns"):
        shares = [f"{found[check] / days:.2%}" for days, found in alarms.values()]
        label = {"gate": "**the whole gate fails**", "warns": "the gate only warns"}.get(check, check)
        print(f"| {label} | {' | '.join(shares)} |")


def _print_powers(powers: Mapping[str, Mapping[str, Counter[str]]]) -> None:
    _head("fault of one day", list(powers))
    for fault in FAULTS:
        cells = []
        for found in powers.values():
            days = found[fault]["days"]
            best = max((name for name in OF_RECENT), key=lambda name: found[fault][name])
            cells.append(f"{found[fault]['gate'] / days:.0%} ({best})" if found[fault]["gate"] else "0%")
        print(f"| {fault} | {' | '.join(cells)} |")


def _head(first: str, columns: list[str]) -> None:
    print(f"\n| {first} | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")


def _british_holidays() -> tuple[date, ...]:
    """Bank holidays of England, Easter from Good Friday to Monday, and the days between Christmas and New Year."""
    found = [date(2011, 4, 29)]
    for year in (2009, 2010, 2011):
        found += [easter(year) + timedelta(days=shift) for shift in (-2, -1, 0, 1)]
        found += [date(year, 12, day) for day in range(23, 32)] + [
            date(year + 1, 1, day) for day in range(1, 5)
        ]
        mondays = {m: [d for d in range(1, 32) if date(year, m, d).weekday() == 0] for m in (5, 8)}
        found += [date(year, 5, mondays[5][0]), date(year, 5, mondays[5][-1]), date(year, 8, mondays[8][-1])]
    return tuple(found)


def _brazilian_holidays() -> tuple[date, ...]:
    """National holidays of Brazil, carnival, Good Friday and Corpus Christi."""
    fixed = ((1, 1), (4, 21), (5, 1), (9, 7), (10, 12), (11, 2), (11, 15), (12, 25))
    found = [date(year, month, day) for year in (2016, 2017, 2018) for month, day in fixed]
    moving = (-48, -47, -46, -2, 0, 60)
    return tuple(found + [easter(year) + timedelta(days=shift) for year in (2017, 2018) for shift in moving])


if __name__ == "__main__":
    main()
