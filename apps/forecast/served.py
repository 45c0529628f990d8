"""What was served: counts by (model, snapshot, product), and the numbers of a sample of live forecasts.

A request only adds to a dictionary. A file is written from time to time, outside of requests, and refers to answers
by model, snapshot and product instead of repeating them. Nothing that a caller chose is kept: products counted are
the snapshot's own, and of a live forecast only numbers stay.
"""

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import anyio
from anyio.to_thread import run_sync
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as Metric

from apps.forecast.loaded import Loaded
from apps.forecast.settings import ForecastSettings
from ml.errors import StoreUnavailable
from ml.forecasting import encoded
from ml.model_store import Files
from ml.served import FORMAT, SUFFIX, place_of_served

MOST_SAMPLES: Final = 1000
MOST_UNWRITTEN: Final = 4
"""Snapshots whose counts wait for a store that does not answer; older ones are dropped and counted."""
NAMED_BY: Final = ("model_version", "model_sha256", "data_version", "sha256")
KEPT_OF_LIVE: Final = (
    "month",
    "mean",
    "p10",
    "p50",
    "p90",
    "demand_class",
    "history_months",
    "last_month_units",
)

log = logging.getLogger(__name__)


@dataclass
class Tally:
    """What was served of one snapshot since the last file; it holds names of it, not the snapshot itself."""

    snapshot: Mapping[str, Any]
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    asked: Counter[str] = field(default_factory=Counter)
    listed: Counter[str] = field(default_factory=Counter)
    live: int = 0
    samples: list[bytes] = field(default_factory=list)

    def file(self, image_tag: str, until: datetime) -> bytes:
        """One JSON object in each line: where it is from, then products by id, then live forecasts."""
        head = {
            "format": FORMAT,
            **self.snapshot,
            "image_tag": image_tag,
            "since": self.since.isoformat(),
            "until": until.isoformat(),
            "live": self.live,
        }
        return b"".join(encoded(line) + b"\n" for line in (head, *self._products(), *self._live()))

    def _products(self) -> Iterator[dict[str, Any]]:
        for product_id in sorted(self.asked.keys() | self.listed.keys()):
            yield {
                "product_id": product_id,
                "asked": self.asked[product_id],
                "listed": self.listed[product_id],
            }

    def _live(self) -> Iterator[dict[str, Any]]:
        for sample in self.samples:
            answer = json.loads(sample)
            yield {"live": {name: answer[name] for name in KEPT_OF_LIVE}}


class Served:
    """Counts of this process; `asked`, `listed` and `live` are called by requests, the rest is not."""

    def __init__(self, settings: ForecastSettings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._every = max(1, round(1 / settings.live_sample_share))
        self._tallies: dict[str, Tally] = {}
        self._files: Files | None = None
        if settings.served_store is not None:
            self._files = place_of_served(settings.served_store)
        self._written = Metric(
            "forecast_served_files", "Files of what was served, by result.", ["result"], registry=registry
        )
        self._lost = Metric(
            "forecast_served_lost", "Forecasts that were served and are in no file.", registry=registry
        )

    def asked(self, loaded: Loaded, product_id: str) -> None:
        """A product of the snapshot was asked for by its id."""
        if self._files is not None:
            self._tally(loaded).asked[product_id] += 1

    def listed(self, loaded: Loaded, product_ids: Iterable[str]) -> None:
        """Products of the snapshot were on a page."""
        if self._files is not None:
            self._tally(loaded).listed.update(product_ids)

    def live(self, loaded: Loaded, answers: Iterable[bytes]) -> None:
        """Histories that were sent were forecast; each so many-th is kept by its numbers."""
        if self._files is None:
            return
        tally = self._tally(loaded)
        for answer in answers:
            if tally.live % self._every == 0 and len(tally.samples) < MOST_SAMPLES:
                tally.samples.append(answer)
            tally.live += 1

    async def write_again_and_again(self) -> None:
        """Write what was counted, for as long as the process runs."""
        while self._files is not None:
            await anyio.sleep(self._settings.served_seconds)
            await self.write()

    async def write(self) -> None:
        """One file for each snapshot with counts; what cannot be written waits for the next time."""
        files = self._files
        if files is None:
            return
        tallies, self._tallies = self._tallies, {}
        for tally in tallies.values():
            try:
                await run_sync(self._write, files, tally)
            except StoreUnavailable as error:
                self._written.labels("failed").inc()
                log.warning("served forecasts not written", extra={"reason": str(error)})
                self._keep(tally)
            else:
                self._written.labels("written").inc()

    def _tally(self, loaded: Loaded) -> Tally:
        snapshot = loaded.snapshot
        tally = self._tallies.get(snapshot.sha256)
        if tally is None:
            named = {name: getattr(snapshot, name) for name in NAMED_BY}
            tally = self._tallies[snapshot.sha256] = Tally(named)
        return tally

    def _write(self, files: Files, tally: Tally) -> None:
        folder = f"{tally.snapshot['model_sha256']}/{tally.snapshot['data_version']}"
        name = f"{folder}/{time.time_ns()}-{os.urandom(4).hex()}{SUFFIX}"
        files.write(name, tally.file(self._settings.image_tag, datetime.now(UTC)))

    def _keep(self, old: Tally) -> None:
        """Put counts that were not written under those that came since."""
        new = self._tallies.setdefault(old.snapshot["sha256"], Tally(old.snapshot))
        new.since = old.since
        new.asked.update(old.asked)
        new.listed.update(old.listed)
        new.live += old.live
        new.samples = [*old.samples, *new.samples][:MOST_SAMPLES]
        while len(self._tallies) > MOST_UNWRITTEN:
            lost = self._tallies.pop(next(iter(self._tallies)))
            self._lost.inc(lost.asked.total() + lost.listed.total() + lost.live)
