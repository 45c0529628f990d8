"""What the process serves: one model and its newest snapshot, exchanged while requests run."""

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import anyio
from anyio.to_thread import run_sync
from prometheus_client import CollectorRegistry, Counter, Gauge

from apps.chassis.problems import unavailable
from apps.forecast.schemas import ModelInfo
from apps.forecast.settings import ForecastSettings
from ml.bundle import Bundle, unpack
from ml.errors import BundleRefused, MlError
from ml.model_store import ModelStore
from ml.snapshot import Live, Snapshot

DRIFT_STATES = {"no drift": "none", "drift": "found", "not enough data": "unknown"}
"""Label of the gauge by what the snapshot says; one of them is 1."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model and a snapshot that were checked and belong together.

    Attributes:
        product_ids: Sorted; of one category by its name, of all under None.
        headers: Added to every answer made from this, so that a caller knows what it was made from.
    """

    bundle: Bundle
    snapshot: Snapshot
    live: Live
    product_ids: Mapping[str | None, Sequence[str]]
    headers: Mapping[str, str]
    loaded_at: datetime

    @classmethod
    def of(cls, bundle: Bundle, data: bytes, model_version: int) -> Self:
        """The bundle with the snapshot in these bytes.

        Raises:
            BundleRefused: The snapshot is damaged, or of another model or version.
        """
        snapshot = Snapshot.from_bytes(data, bundle.sha256)
        if snapshot.model_version != model_version:
            raise BundleRefused(
                f"the snapshot is of version {snapshot.model_version}, the release names {model_version};"
                " run `python -m ml forecast` for that version"
            )
        headers = {"X-Model-Version": str(model_version), "X-Data-Version": snapshot.data_version}
        product_ids = _by_category(snapshot)
        return cls(bundle, snapshot, snapshot.live(bundle), product_ids, headers, datetime.now(UTC))


def _by_category(snapshot: Snapshot) -> dict[str | None, list[str]]:
    ids: dict[str | None, list[str]] = defaultdict(list)
    for product_id, answer in snapshot.answers.items():
        # Only the first two fields are parsed: an answer may hold a hundred probabilities.
        head = answer[: answer.index(b',"month":')] + b"}"
        ids[json.loads(head)["category"]].append(product_id)
    ids[None] = snapshot.product_ids
    return dict(ids)


class Serving:
    """The pinned model of this process. Requests read `loaded`; only `load` and `reload` replace it."""

    def __init__(self, settings: ForecastSettings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._loads = Counter(
            "forecast_loads", "Tries to load a snapshot, by result.", ["result"], registry=registry
        )
        self._created = Gauge(
            "forecast_snapshot_created_timestamp_seconds",
            "When the served snapshot was made; 0 while nothing is served.",
            registry=registry,
        )
        self._release = Gauge(
            "release_info",
            "1 for the image and model that answer here; no series while nothing is served.",
            ["image_tag", "model_version", "model_sha256"],
            registry=registry,
        )
        self._drift = Gauge(
            "forecast_drift",
            "1 for what was found in the newest month before this snapshot: none, found or unknown.",
            ["state"],
            registry=registry,
        )
        self._store = ModelStore(settings.model_store)
        self._turn = anyio.Lock()
        self._bundle: Bundle | None = None
        self._loaded: Loaded | None = None
        self._missing = "it was not loaded yet"

    @property
    def loaded(self) -> Loaded:
        """What is served now.

        Raises:
            Problem: 503, nothing could be loaded so far.
        """
        if self._loaded is None:
            raise unavailable("model-not-loaded", f"no forecast can be given: {self._missing}")
        return self._loaded

    @property
    def info(self) -> ModelInfo:
        """What is served now, for `/model-info`."""
        loaded = self.loaded
        return ModelInfo(
            image_tag=self._settings.image_tag,
            model_version=loaded.snapshot.model_version,
            model_sha256=loaded.bundle.sha256,
            data_version=loaded.snapshot.data_version,
            month=loaded.snapshot.month,
            candidate=loaded.bundle.manifest.candidate,
            products=len(loaded.snapshot.answers),
            stock_data=loaded.snapshot.stock_data,
            snapshot_created_at=loaded.snapshot.created_at,
            loaded_at=loaded.loaded_at,
        )

    async def load(self) -> bool:
        """Whether the model and its newest snapshot are in place; if not, `/ready` and the log say why."""
        try:
            await self.reload()
        except MlError as error:
            self._missing = str(error)
        except Exception:
            self._missing = "it could not be read; the log has the details"
            log.exception("load failed")
        else:
            return True
        log.error("not loaded", extra={"reason": self._missing})
        return False

    async def load_until_loaded(self) -> None:
        """Try again until it succeeds: a store that comes back needs no restart."""
        while self._loaded is None:
            await anyio.sleep(self._settings.retry_seconds)
            await self.load()

    async def reload(self) -> bool:
        """Whether a newer snapshot of the pinned model took over; when anything is wrong, nothing changes.

        Raises:
            MlError: The bundle or the snapshot is missing or refused; what was served is still served.
        """
        async with self._turn:
            try:
                found = await run_sync(self._read)
            except Exception:
                self._loads.labels("refused").inc()
                raise
            newer = self._loaded is None or _name(found.snapshot) != _name(self._loaded.snapshot)
            self._loads.labels("changed" if newer else "unchanged").inc()
            if newer:
                self._take_over(found)
            return newer

    def _take_over(self, found: Loaded) -> None:
        self._loaded = found
        self._created.set(found.snapshot.created_at.timestamp())
        info = self.info
        self._release.labels(info.image_tag, info.model_version, info.model_sha256).set(1)
        for answer, state in DRIFT_STATES.items():
            self._drift.labels(state).set(answer == found.snapshot.drift)
        log.info("serving", extra=info.model_dump(mode="json"))

    def _read(self) -> Loaded:
        sha256 = self._settings.model_sha256
        if self._bundle is None:
            self._bundle = unpack(self._store.get_bundle(sha256), sha256)
        _, data = self._store.newest_snapshot(sha256)
        return Loaded.of(self._bundle, data, self._settings.model_version)

    async def check_model(self) -> str | None:
        """None once the model is verified and loaded, else why it is not."""
        return None if self._bundle is not None else self._missing

    async def check_snapshot(self) -> str | None:
        """None once a snapshot of the model is served, else why not."""
        return None if self._loaded is not None else self._missing


def _name(snapshot: Snapshot) -> tuple[str, datetime]:
    return snapshot.data_version, snapshot.created_at
