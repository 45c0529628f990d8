"""Opening promotions: a function of Git, forge, registry and clock, with no state of its own.

Killed anywhere and asked again, it ends the same.
"""

import hashlib
from dataclasses import dataclass

from scripts.errors import Refused
from scripts.evidence.candidate import Models, RegisteredModel
from scripts.evidence.record import Evidence
from scripts.evidence.release_source import Source, source_of
from scripts.evidence.rules import rules_of
from scripts.forges.forge import PullRequest
from scripts.history import deployment_history
from scripts.history.merge_preview import merged_tree
from scripts.history.repository import TRUNK, Repository, temporary_copy
from scripts.manifests.render import NoKustomize, overlays
from scripts.promotion.bridge import Bridge, Wish
from scripts.promotion.gathering import Change, gathered
from scripts.promotion.proposal import PROMOTION, Proposal, Published, publish
from scripts.promotion.pull_request import promotion_body, title_of
from scripts.promotion.secret_shapes import refuse_secrets
from scripts.promotion.taken_back import branch_start, refuse_what_was_taken_back
from scripts.release_file import UNRELEASED, Release, edit, evidence_path_of, parse, path_of

MUTABLE_TAGS = ("latest", UNRELEASED)


@dataclass(frozen=True)
class Opened:
    """What came of a wish; `action` is `opened`, `found`, or `live` when the release runs already."""

    action: str
    release: Release
    replaces: Release
    pull_request: PullRequest | None = None
    superseded: tuple[int, ...] = ()

    @classmethod
    def of(cls, published: Published, release: Release, replaces: Release) -> "Opened":
        """The outcome of a proposal that was published."""
        return cls(published.action, release, replaces, published.pull_request, published.superseded)


def open_promotion(bridge: Bridge, wish: Wish) -> Opened:
    """A pull request that brings a model, an image or both into an environment.

    Raises:
        Refused: A gate, a hold, a rejection or another proposal says no.
    """
    with temporary_copy(bridge.forge) as repository:
        wanted = prepared(bridge, repository, wish)
        if isinstance(wanted, Opened):
            return wanted
        live = parse(wanted.replaces)
        return Opened.of(publish(bridge.forge, repository, wanted, bridge.clock()), wanted.release, live)


def prepared(bridge: Bridge, repository: Repository, wish: Wish) -> Proposal | Opened:
    """What would be proposed, with everything judged and nothing written; `Opened` when it is live already.

    The alias is resolved once, here; everything after speaks of a version and a sha256.

    Raises:
        Refused: A gate, a hold or a rejection says no.
    """
    named = bridge.models.registry.resolve(wish.model) if wish.model else None
    rules = rules_of(repository, wish.environment, TRUNK)
    file = deployment_history.live_file(repository, wish.environment, TRUNK)
    live = parse(file)
    source = source_of(repository, rules.source) if rules.source else None
    registered = named or _registered(bridge.models, source.release if source else live)
    release = _wanted(source.release if source else live, registered, wish.image_tag)
    if source:
        _refuse_other(wish, source, release)
    if release == live:
        return Opened("live", live, live)
    refuse_what_was_taken_back(bridge.forge, repository, wish.environment, live, release)
    evidence = gathered(bridge, repository, rules, source, Change(wish, live, release, registered))
    return proposal_of(bridge, repository, file, evidence)


def trailers(
    requested_by: str, release: Release, data_version: str, evidence_sha256: str | None = None
) -> str:
    """The last paragraph of a commit that changes a release."""
    lines = {
        "Requested-by": requested_by,
        "Model-Version": release.model_version,
        "Model-Sha256": release.model_sha256,
        "Image-Tag": release.image_tag,
        "Data-Version": data_version,
        "Evidence-Sha256": evidence_sha256,
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items() if value is not None)


def branch_digest(*contents: bytes) -> str:
    """Twelve hex digits for a branch's name."""
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:12]


def manifest_diffs(
    bridge: Bridge, repository: Repository, environment: str, head: str
) -> dict[str, str] | None:
    """How merging a head changes every environment's rendered manifests, by environment; None without kustomize.

    The one that is meant comes first, also when nothing changes; of the others those that do.
    """
    after = merged_tree(repository, head)
    others = [name for name in overlays(repository, after) if name != environment]
    try:
        diffs = {name: bridge.render(repository, TRUNK, after, name) for name in (environment, *others)}
    except NoKustomize:
        return None
    return {name: diff for name, diff in diffs.items() if diff or name == environment}


def _registered(models: Models, base: Release) -> RegisteredModel:
    """The registry's entry of the model in a release."""
    if not base.has_model:
        raise Refused(
            "no_model", "the environment has no model yet; name one, for example --model challenger"
        )
    registered = models.registry.resolve(str(base.model_version))
    if registered.sha256 != base.model_sha256:
        raise Refused(
            "registry_disagrees",
            f"the registry says version {registered.version} is {registered.sha256[:12]},"
            f" the release {base.model_sha256[:12]}; the registry was changed",
        )
    return registered


def _refuse_other(wish: Wish, source: Source, release: Release) -> None:
    """Refuse anything but what the source environment runs."""
    if release != source.release:
        raise Refused(
            "other_than_source",
            f"{wish.environment} takes what {source.environment} runs, {source.release.name}, and asked for"
            f" was {release.name}; promote that to {source.environment} first",
        )


def _wanted(live: Release, registered: RegisteredModel, image_tag: str | None) -> Release:
    tag = image_tag or live.image_tag
    if tag in MUTABLE_TAGS:
        raise Refused(
            "bad_image_tag", f"image tag {tag!r} does not name one image; name one with --image-tag"
        )
    wanted = {"image_tag": tag, "model_version": registered.version, "model_sha256": registered.sha256}
    try:
        return Release.model_validate(wanted)
    except ValueError:
        raise Refused("bad_release", f"{wanted} cannot be written to a release file") from None


def proposal_of(bridge: Bridge, repository: Repository, file: bytes, evidence: Evidence) -> Proposal:
    """What is to be merged for some evidence: a function of it and of the release file on the trunk.

    Raises:
        Refused: The evidence would show a secret, or is too long for a pull request.
    """
    environment, release = evidence.environment, evidence.release
    changed = edit(file, release)
    digest = branch_digest(evidence.lasting_bytes(), changed)
    title = title_of(evidence)
    refuse_secrets(evidence.to_bytes().decode(), "the evidence")
    rollback = f'python -m scripts.promote rollback --environment {environment} --reason "…"'
    promotion_body(evidence, diffs=None, rollback=rollback)  # a text too long is refused before any push
    paragraph = trailers(evidence.requested_by, release, evidence.model.data_version, evidence.sha256)

    def body(head: str) -> str:
        """The text for what was pushed, which may be another person's wish for the same release."""
        committed = repository.read(head, evidence_path_of(environment, release)) or b""
        return promotion_body(
            Evidence.from_bytes(committed),
            diffs=manifest_diffs(bridge, repository, environment, head),
            rollback=rollback,
        )

    return Proposal(
        kind=PROMOTION,
        environment=environment,
        branch=branch_start(environment, release) + digest,
        title=title,
        message=f"{title}\n\nRisk: {evidence.risk[0]}\n\n{paragraph}",
        files={path_of(environment): changed, evidence_path_of(environment, release): evidence.to_bytes()},
        release=release,
        replaces=file,
        body=body,
    )
