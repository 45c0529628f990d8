"""Gathering the evidence of a change: from registry, store, images, Git and Prometheus."""

from dataclasses import dataclass

from ml.errors import ModelNotFound
from scripts.evidence import gates
from scripts.evidence.candidate import Models, RegisteredModel, verified
from scripts.evidence.record import Drift, Evidence, Traffic
from scripts.evidence.release_source import Source, refuse_too_young
from scripts.evidence.rules import Rules
from scripts.evidence.soak import observed
from scripts.history.repository import Repository
from scripts.images import release_images
from scripts.promotion.bridge import Bridge, Wish
from scripts.release_file import Release


@dataclass(frozen=True)
class Change:
    """A wish, and what it means: from one release to another."""

    wish: Wish
    live: Release
    release: Release
    registered: RegisteredModel


def gathered(
    bridge: Bridge, repository: Repository, rules: Rules, source: Source | None, change: Change
) -> Evidence:
    """Everything that speaks for and against a change; `Refused` when a gate stays closed."""
    wish, live, release = change.wish, change.live, change.release
    candidate = verified(bridge.models, change.registered)
    traffic, drift = _observed(bridge, rules, source)
    evidence = Evidence(
        environment=wish.environment,
        release=release,
        replaces=live,
        model=candidate.model,
        verdict=candidate.verdict,
        benchmark=candidate.benchmark,
        gates=(),
        images=_images(bridge, repository, rules, source, change),
        replaced_images=release_images.recorded(repository, wish.environment, live),
        replaced_data_version=_data_version(bridge.models, live),
        calibration=candidate.calibration,
        segments=candidate.segments,
        data_quality=candidate.data_quality,
        money=candidate.money,
        drift=drift,
        traffic=traffic,
        requested_by=wish.requested_by,
    )
    return evidence.model_copy(update={"gates": gates.judged(evidence, rules, wish.waivers)})


def _observed(bridge: Bridge, rules: Rules, source: Source | None) -> tuple[Traffic | None, Drift | None]:
    """How the source ran the release; nothing where there is no source, or nobody to ask."""
    if source is None or rules.limits is None:
        return None, None
    refuse_too_young(source, rules, bridge.clock())
    if bridge.metrics is None:
        return None, None
    return observed(bridge.metrics, bridge.clock, source, rules.soak_seconds, rules.limits)


def _images(
    bridge: Bridge, repository: Repository, rules: Rules, source: Source | None, change: Change
) -> dict[str, str]:
    """Digests of the images, the same as the source runs and, for a tag that stays, as ran before."""
    if not rules.images or bridge.images is None:
        return {}
    environment, tag = change.wish.environment, change.release.image_tag
    found = release_images.digests(bridge.images, repository, environment, tag)
    if change.live.image_tag == tag:
        before = release_images.recorded(repository, environment, change.live)
        release_images.refuse_moved(found, before, tag, environment)
    if source:
        tried = release_images.recorded(repository, source.environment, source.release)
        release_images.refuse_untried(found, tried, tag, source.environment)
    return found


def _data_version(models: Models, live: Release) -> str | None:
    """What the live model was trained on; None without one, or when the registry forgot it."""
    try:
        return models.registry.resolve(str(live.model_version)).data_version if live.has_model else None
    except ModelNotFound:
        return None
