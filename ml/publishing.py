"""From the panel to snapshots: every product forecast by one model, or by several, and kept."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ml.bundle import unpack
from ml.errors import BundleRefused, ModelNotFound
from ml.forecast_table import publish
from ml.lake import Lake
from ml.model_store import ModelStore
from ml.open_month import open_month
from ml.panel import noted_history
from ml.settings import MlSettings
from ml.stock import stock_note


class Publisher:
    """The panel as it is now, read once; with `until` (YYYY-MM) it ends with that month and has no open one."""

    def __init__(self, settings: MlSettings, until: str | None = None) -> None:
        self._lake, self._store = Lake(settings.lake), ModelStore.of(settings)
        self._history = noted_history(self._lake, datetime.now(UTC), until)
        self.notes = stock_note(self._lake, self._history)
        if until is None:
            self.notes["nowcast"] = open_month(self._lake, self._history, settings)

    def publish(self, version: int, sha256: str) -> dict[str, Any]:
        """What was written to the store and the lake: the fields of `ml.forecast_table.Published`.

        Raises:
            ModelNotFound: The store has no such bundle.
            BundleRefused: Its bytes are not those that the sha256 names.
        """
        bundle = unpack(self._store.get_bundle(sha256), sha256)
        now = datetime.now(UTC)
        return asdict(
            publish(
                self._lake,
                self._store,
                bundle,
                self._history,
                model_version=version,
                now=now,
                notes=self.notes,
            )
        )


def publish_each(settings: MlSettings, models: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
    """The same for models by version and sha256; one that cannot has an `error` and stops none of the others."""
    publisher = Publisher(settings)
    written = []
    for version, sha256 in models:
        try:
            written.append(publisher.publish(version, sha256))
        except (ModelNotFound, BundleRefused) as error:
            written.append({"model_version": version, "model_sha256": sha256, "error": str(error)})
    return written
