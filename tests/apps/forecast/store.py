"""A model store with a small fitted model and its snapshot."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from pydantic import SecretStr

from apps.forecast.settings import ForecastSettings
from ml.bundle import unpack
from ml.history import History
from ml.model_store import ModelStore
from ml.past import ToldBefore, past_parts
from ml.snapshot import NOT_JUDGED, Groups, snapshot_bytes, sums_of_means
from tests.ml.known_processes import negative_binomials
from tests.ml.small_history import small_shop
from tests.ml.small_models import bundle_bytes

VERSION = 3
KEY = "k" * 16
DATA_VERSION = "2025-12.0123456789ab"
NEVER_SECONDS = 1e10
CREATED_AT = datetime(2026, 1, 5, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Shop:
    """A model that was trained on `history` and stored under `root`."""

    root: Path
    history: History
    model_sha256: str

    def write_snapshot(
        self,
        *,
        history: History | None = None,
        version: int = VERSION,
        data_version: str = DATA_VERSION,
        drift: str = NOT_JUDGED,
        groups: Groups = sums_of_means,
        notes: Mapping[str, Any] = MappingProxyType({}),
        signing_key: Path | None = None,
        told: ToldBefore | None = None,
    ) -> Path:
        """Where the model's forecast of the shop is kept; with its past, where what was `told` of it is given."""
        store = ModelStore(self.root, signing_key=signing_key)
        bundle = unpack(store.get_bundle(self.model_sha256), self.model_sha256)
        shown = history or self.history
        if told is not None:
            past = past_parts(shown, told)
            store.put_past(self.model_sha256, data_version, past)
            notes = {**notes, "past_parts": len(past)}
        data = snapshot_bytes(
            bundle, version, data_version, shown, CREATED_AT, drift=drift, groups=groups, notes=notes
        )
        return Path(store.put_snapshot(self.model_sha256, data_version, data))

    def settings(self, **changes: object) -> ForecastSettings:
        fields: dict[str, object] = {
            "model_version": VERSION,
            "model_sha256": self.model_sha256,
            "image_tag": "9c0d7e2",
            "model_store": self.root,
            "api_key": SecretStr(KEY),
            "retry_seconds": 0.05,
            "stale_after_seconds": NEVER_SECONDS,
        }
        return ForecastSettings.model_validate(fields | changes)

    def variables(self) -> dict[str, str]:
        """The same as environment variables."""
        return {
            "FORECAST_MODEL_VERSION": str(VERSION),
            "FORECAST_MODEL_SHA256": self.model_sha256,
            "FORECAST_IMAGE_TAG": "9c0d7e2",
            "FORECAST_MODEL_STORE": str(self.root),
            "FORECAST_API_KEY": KEY,
            "FORECAST_STALE_AFTER_SECONDS": str(NEVER_SECONDS),
            "FORECAST_REFRESH_SECONDS": str(NEVER_SECONDS),
        }


def stored_shop(root: Path, candidate: str = "ses") -> Shop:
    """A store with a model and no snapshot; one product id has a slash, one category a comma."""
    history = small_shop()
    odd = History(
        product_ids=(*history.product_ids[:-1], "SHELF/9 Ş"),
        categories=("a, b", *history.categories[1:]),
        months=history.months,
        units=history.units,
        price_cents=history.price_cents,
        extra=history.extra,
    )
    data = bundle_bytes(odd, candidate)
    ModelStore(root).put_bundle(data)
    return Shop(root, odd, hashlib.sha256(data).hexdigest())


def stored_catalogue(root: Path, products: int, candidate: str = "ses") -> Shop:
    """A store with many products, named P0000 on, and a model that learned from a few of them; no snapshot."""
    history = negative_binomials(products, 36, seed=7).history
    history = replace(history, product_ids=tuple(f"P{row:04}" for row in range(products)))
    data = bundle_bytes(history.rows(np.arange(60)), candidate)
    ModelStore(root).put_bundle(data)
    return Shop(root, history, hashlib.sha256(data).hexdigest())


def a_month_later(history: History) -> History:
    """The history with one more month, in which everything sold twice as much."""

    def longer(
        values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.hstack([values, values[:, -1:] * 2])

    return History(
        product_ids=history.product_ids,
        categories=history.categories,
        months=np.append(history.months, history.next_month),
        units=longer(history.units),
        price_cents=longer(history.price_cents),
        extra={name: longer(values) for name, values in history.extra.items()},
    )
