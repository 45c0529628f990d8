"""A promotion's evidence against everything that it speaks of."""

from collections.abc import Mapping

from scripts.check.case import Case, check_paths
from scripts.check.not_as_promised import NotAsPromised, refuse_other
from scripts.check.source import check_source
from scripts.errors import Broken
from scripts.evidence import gates
from scripts.evidence.candidate import verified
from scripts.evidence.record import Evidence
from scripts.history import deployment_history
from scripts.history.repository import TRUNK
from scripts.images import release_images
from scripts.images.image_signatures import refuse_unsigned
from scripts.images.signers import signers_of
from scripts.promotion.pull_request import evidence_in
from scripts.release_file import evidence_path_of, parse, path_of


def evidence_of(case: Case) -> Evidence:
    """The evidence in the commit, once it speaks of this change."""
    path = evidence_path_of(case.environment, case.release)
    data = case.repository.read(case.commit.id, path) or b""
    lies_there = case.repository.read(TRUNK, path) == data  # of the same promotion, which was rolled back
    check_paths(case, {path_of(case.environment), *(() if lies_there else (path,))})
    evidence = Evidence.from_bytes(data)
    live = parse(case.file)
    facts = {
        "environment": (evidence.environment, case.environment),
        "release": (evidence.release, case.release),
        "replaced release": (evidence.replaces, live),
        "JSON block": (evidence_in(case.pull_request.body), evidence),
    }
    refuse_other(case.number, facts)
    return evidence


def check_world(case: Case, evidence: Evidence) -> None:
    """The evidence against rules, history, registry, store, images and source."""
    judged = gates.of(evidence, case.rules)
    closed = [gate.name for gate in judged if not gate.opens]
    if closed:
        raise NotAsPromised(case.number, f"has a closed gate: {', '.join(closed)}")
    refuse_other(case.number, {"gates": (evidence.gates, judged)})
    live = evidence.replaces
    if case.release.model_version < live.model_version:
        raise NotAsPromised(case.number, f"brings a model older than the live {live.model_version}")
    hold = deployment_history.read(case.repository, case.environment, TRUNK).hold_on(case.release)
    if hold:
        raise NotAsPromised(case.number, f"brings back what is held: {hold}")
    _check_model(case, evidence)
    _check_images(case, evidence)
    check_source(case.repository, evidence, case.rules, case.bridge.clock(), case.number)


def _check_model(case: Case, evidence: Evidence) -> None:
    """What the registry and the bundle say, against what the evidence says they said."""
    registered = case.bridge.models.registry.resolve(str(case.release.model_version))
    refuse_other(case.number, {"model_sha256": (case.release.model_sha256, registered.sha256)})
    candidate = verified(case.bridge.models, registered)
    names = ("model", "verdict", "benchmark", "calibration", "segments", "data_quality", "money")
    refuse_other(case.number, {name: (getattr(evidence, name), getattr(candidate, name)) for name in names})


def _check_images(case: Case, evidence: Evidence) -> None:
    """The digests that the tags name now, against those in the evidence."""
    repository, environment, tag = case.repository, case.environment, case.release.image_tag
    found: Mapping[str, str] = {}
    if case.rules.images:
        if case.bridge.images is None:
            raise Broken("no image registry is configured, so nobody can say which bytes the tags name")
        found = release_images.digests(case.bridge.images, repository, environment, tag)
        release_images.refuse_moved(found, evidence.images, tag, f"the evidence of #{case.number}")
        _check_signatures(case, found)
    before = release_images.recorded(repository, environment, evidence.replaces)
    facts = {
        "images": (evidence.images, dict(found)),
        "replaced images": (evidence.replaced_images, before),
    }
    refuse_other(case.number, facts)


def _check_signatures(case: Case, digests: Mapping[str, str]) -> None:
    """Who signed the images, where the environment's rules ask."""
    if case.rules.signatures and case.bridge.images is not None:
        names = release_images.names(case.repository, case.environment, case.release.image_tag)
        refuse_unsigned(case.bridge.images, names, digests, signers_of(case.repository, TRUNK))
