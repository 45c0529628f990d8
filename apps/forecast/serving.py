"""What the process serves: one model and its newest snapshot, exchanged while requests run."""

import logging

import anyio
from anyio.to_thread import run_sync
from prometheus_client import CollectorRegistry, Counter, Gauge

from apps.chassis.problems import unavailable
from apps.forecast.loaded import Loaded
from apps.forecast.schemas import ModelInfo
from apps.forecast.settings import ForecastSettings
from ml.bundle import Bundle, unpack
from ml.errors import MlError
from ml.model_store import HEAD_BYTES, ModelStore
from ml.snapshot import sha256_named

DRIFT_STATES = {"no drift": "none", "drift": "found", "not enough data": "unknown"}
"""Label of the gauge by what the snapshot says; one of them is 1."""

log = logging.getLogger(__name__)


class Serving:
    """The pinned model of this process. Requests read `loaded`; only `load` and `reload` replace it."""

    def __init__(self, settings: ForecastSettings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._loads = Counter(
            "forecast_loads", "Looks for a newer snapshot, by result.", ["result"], registry=registry
        )
        self._created = Gauge(
            "forecast_snapshot_created_timestamp_seconds",
            "When the served snapshot was made; 0 while nothing is served.",
            registry=registry,
        )
        self._stale = Gauge(
            "forecast_snapshot_stale",
            "1 while the served snapshot is older than FORECAST_STALE_AFTER_SECONDS.",
            registry=registry,
        )
        self._stale.set_function(lambda: self._loaded is not None and self._loaded.stale)
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
        self._store = ModelStore(settings.model_store, signers=settings.signers_file)
        self._turn = anyio.Lock()
        self._bundle: Bundle | None = None
        self._loaded: Loaded | None = None
        self._missing = "it was not loaded yet"

    @property
    def now(self) -> Loaded | None:
        """What is served now, None while nothing is."""
        return self._loaded

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
            stale=loaded.stale,
            loaded_at=loaded.loaded_at,
        )

    async def load(self) -> bool:
        """Whether a model and its newest snapshot are in place; if they are not the newest, the log says why."""
        try:
            await self.reload()
        except MlError as error:
            reason = str(error)
        except Exception:
            reason = "it could not be read; the log has the details"
            log.exception("load failed")
        else:
            return True
        self._missing = reason
        log.error("not loaded", extra={"reason": reason})
        return self._loaded is not None

    async def keep_fresh(self) -> None:
        """Look again and again: a store that comes back needs no restart, a newer snapshot nobody to say so."""
        while True:
            waits = self._settings.retry_seconds if self._loaded is None else self._settings.refresh_seconds
            await anyio.sleep(waits)
            await self.load()

    async def reload(self) -> bool:
        """Whether a newer snapshot of the pinned model took over; when anything is wrong, nothing changes.

        Raises:
            MlError: The bundle or the snapshot is missing or refused; what was served is still served.
        """
        async with self._turn:
            try:
                found = await run_sync(self._newer)
            except Exception:
                self._loads.labels("refused").inc()
                raise
            self._loads.labels("unchanged" if found is None else "changed").inc()
            if found is not None:
                self._take_over(found)
            return found is not None

    def _take_over(self, found: Loaded) -> None:
        self._loaded = found
        self._created.set(found.snapshot.created_at.timestamp())
        info = self.info
        self._release.labels(info.image_tag, info.model_version, info.model_sha256).set(1)
        for answer, state in DRIFT_STATES.items():
            self._drift.labels(state).set(answer == found.snapshot.drift)
        log.info("serving", extra=info.model_dump(mode="json"))

    def _newer(self) -> Loaded | None:
        """What the store has, None if it is served already: then only its first bytes are read."""
        sha256 = self._settings.model_sha256
        if self._loaded is not None:
            _, head = self._store.newest_snapshot(sha256, HEAD_BYTES)
            if sha256_named(head) == self._loaded.snapshot.sha256:
                return None
        if self._bundle is None:
            self._bundle = unpack(self._store.get_bundle(sha256), sha256)
        _, data = self._store.newest_snapshot(sha256)
        settings = self._settings
        return Loaded.of(self._bundle, data, settings.model_version, settings.stale_after_seconds)

    async def check_model(self) -> str | None:
        """None once the model is verified and loaded, else why it is not."""
        return None if self._bundle is not None else self._missing

    async def check_snapshot(self) -> str | None:
        """None once a snapshot of the model is served, else why not."""
        return None if self._loaded is not None else self._missing
