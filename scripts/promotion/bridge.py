"""Who asks for what, and the outside world that is asked about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from scripts.evidence.candidate import Models
from scripts.evidence.prometheus import Metrics
from scripts.evidence.record import Waiver
from scripts.forges.forge import Forge
from scripts.forges.local import utc_now
from scripts.history.repository import Repository
from scripts.images.image_registry import Images
from scripts.manifests.render import difference


@dataclass(frozen=True)
class Bridge:
    """The outside world of a promotion. Without `images` or `metrics` a gate that needs them stays closed."""

    forge: Forge
    models: Models
    clock: Callable[[], datetime] = utc_now
    render: Callable[[Repository, str, str, str], str] = difference
    images: Images | None = None
    metrics: Metrics | None = None


@dataclass(frozen=True)
class Wish:
    """What somebody asks for.

    Without `model` or `image_tag` that half of the release stays as it is; where the release comes from a
    source environment it is the source's.
    """

    environment: str
    requested_by: str
    model: str | None = None
    image_tag: str | None = None
    waivers: Mapping[str, Waiver] = field(default_factory=dict)
