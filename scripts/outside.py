"""What the verbs need from outside, made when one asks for it: MLflow alone takes seconds to import."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import StoreUnavailable
from scripts.evidence.candidate import Manifest, Models
from scripts.evidence.prometheus import Metrics, Prometheus
from scripts.forges.local import utc_now
from scripts.images.image_registry import ImageRegistry, Images

if TYPE_CHECKING:
    from scripts.running.kubernetes import Cluster
    from scripts.running.snapshots import Model, Publish

TOKEN, PROMETHEUS_TOKEN = "PROMOTE_TOKEN", "PROMOTE_PROMETHEUS_TOKEN"

_SQLITE = "sqlite:///"


def models() -> Models:
    """The registry and the store of the settings (`ML_…` variables).

    Raises:
        StoreUnavailable: There is no registry; none is made in passing.
    """
    from ml.bundle import unpack  # noqa: PLC0415 - history and audit need no models
    from ml.model_store import ModelStore  # noqa: PLC0415
    from ml.settings import MlSettings  # noqa: PLC0415
    from ml.snapshot import Snapshot  # noqa: PLC0415

    settings = MlSettings()
    uri = settings.tracking_uri
    if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).exists():
        raise StoreUnavailable(
            f"there is no registry at {uri}; train a model, or set ML_STATE or ML_TRACKING_URI"
        )
    from ml.registry import Registry  # noqa: PLC0415 - MLflow

    def load_bundle(data: bytes, sha256: str) -> Manifest:
        return unpack(data, sha256).manifest

    return Models(Registry(settings), ModelStore.of(settings), load_bundle, Snapshot.from_bytes)


def publish(wanted: "Sequence[Model]") -> list[dict[str, Any]]:
    """Snapshots of models by version and sha256, from the panel of the settings (`ML_…` variables)."""
    from ml.publishing import publish_each  # noqa: PLC0415 - Polars and the lake
    from ml.settings import MlSettings  # noqa: PLC0415

    return publish_each(MlSettings(), wanted)


def drift() -> bytes | None:
    """The newest report of drift, from the model store of the settings (`ML_…` variables)."""
    from ml.model_store import DRIFT, ModelStore  # noqa: PLC0415 - the other verbs need none
    from ml.settings import MlSettings  # noqa: PLC0415

    return ModelStore.of(MlSettings()).report(DRIFT)


def keep_delivery(report: bytes) -> None:
    """Put a report on deliveries into the model store of the settings (`ML_…` variables)."""
    from ml.model_store import DELIVERY, ModelStore  # noqa: PLC0415 - the other verbs need none
    from ml.settings import MlSettings  # noqa: PLC0415

    ModelStore.of(MlSettings()).put_report(DELIVERY, report)


def prometheus(url: str) -> Metrics:
    """The Prometheus at a URL; its token, if it wants one, is in `PROMOTE_PROMETHEUS_TOKEN`."""
    return Prometheus(url, os.environ.get(PROMETHEUS_TOKEN))


def kubernetes() -> "Cluster":
    """The cluster that kubectl would talk to."""
    from scripts.running.kubernetes import Kubernetes  # noqa: PLC0415 - half a second

    return Kubernetes()


@dataclass(frozen=True)
class Outside:
    """How each of them is made."""

    models: Callable[[], Models] = models
    images: Callable[[], Images] = ImageRegistry
    metrics: Callable[[str], Metrics] = prometheus
    cluster: Callable[[], "Cluster"] = kubernetes
    publish: "Publish" = publish
    drift: Callable[[], bytes | None] = drift
    keep_delivery: Callable[[bytes], None] = keep_delivery
    clock: Callable[[], datetime] = utc_now
