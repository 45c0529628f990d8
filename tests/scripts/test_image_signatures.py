"""Images are let in by signatures that count, found where cosign puts them, and by nothing else."""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from scripts.errors import Broken, Refused
from scripts.evidence.rules import rules_path_of
from scripts.images.image_registry import MAX_BUNDLE_BYTES, ImageRegistry
from scripts.images.image_signatures import Keyless, by_certificate, refuse_unsigned
from scripts.images.signers import PATH, Signers, parse_signers, signers_of
from tests.repository.imports import ROOT
from tests.scripts.mini_sigstore import (
    GITHUB,
    MEDIA_TYPE,
    SIGNATURE,
    WORKFLOW,
    MiniSigstore,
    bundle_by_key,
    new_key,
    pem,
    statement,
)
from tests.scripts.oci_registry import OciRegistry, sha256
from tests.scripts.world import IMAGES, World

IMAGE = "registry.example.com/shop/forecast"
DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
KEY, STRANGER = new_key(), new_key()
SBOM = "https://cyclonedx.org/bom"


def rule(cosign: Mapping[str, Any], glob: str = "registry.example.com/shop/*") -> dict[str, Any]:
    """A rule of the cluster with one attestor."""
    spec = {
        "validationActions": ["Deny"],
        "matchImageReferences": [{"glob": glob}],
        "attestors": [{"name": "builder", "cosign": dict(cosign)}],
    }
    return {"apiVersion": "policies.kyverno.io/v1", "kind": "ImageValidatingPolicy", "spec": spec}


BY_KEY = rule({"key": {"data": pem(KEY)}, "ctlog": {"insecureIgnoreTlog": True}})
KEYLESS = rule({"keyless": {"identities": [{"issuer": GITHUB, "subject": WORKFLOW}]}})


def judged(
    *bundles: bytes,
    digest: str = DIGEST,
    signers: dict[str, Any] = BY_KEY,
    keyless: Keyless | None = None,
    registry: OciRegistry | None = None,
) -> None:
    """Nothing, if the image with these bundles may run."""
    registry = registry or OciRegistry()
    for bundle in bundles:
        registry.attach(digest, bundle)
    images = ImageRegistry(registry.transport)
    names, digests = {"forecast": f"{IMAGE}:9c0d7e2"}, {"forecast": digest}
    refuse_unsigned(images, names, digests, Signers.model_validate(signers), keyless)


def reason(*bundles: bytes, **more: Any) -> str:
    """Why it may not."""
    with pytest.raises(Refused) as caught:
        judged(*bundles, **more)
    return f"{caught.value.reason}: {caught.value}"


def test_an_image_that_the_owner_of_the_key_signed_may_run() -> None:
    judged(bundle_by_key(KEY, statement(DIGEST)))
    judged(bundle_by_key(STRANGER, statement(DIGEST)), bundle_by_key(KEY, statement(DIGEST)))
    judged(bundle_by_key(KEY, statement(OTHER, DIGEST)))


REFUSED: dict[str, tuple[list[bytes], str]] = {
    "nobody signed": ([], "unsigned_image: .*forecast:9c0d7e2 .*has no signature in its registry"),
    "somebody else signed": ([bundle_by_key(STRANGER, statement(DIGEST))], "foreign_signature: .*builder: "),
    "another image was signed": ([bundle_by_key(KEY, statement(OTHER))], "foreign_signature: .*it is of b"),
    "nothing was signed": ([bundle_by_key(KEY, statement())], "foreign_signature: "),
    "its parts were listed": (
        [bundle_by_key(KEY, statement(DIGEST, predicate=SBOM))],
        "foreign_signature: .*no signature of an image",
    ),
    "something else was signed": (
        [bundle_by_key(KEY, statement(DIGEST), "text/plain")],
        "foreign_signature: .*in 'text/plain'",
    ),
    "no statement": ([bundle_by_key(KEY, b"[1]")], "foreign_signature: .*is no statement"),
    "no bundle": ([b"{}", b"null", b"\xff"], "foreign_signature: .*holds no envelope"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_refusal_says_what_is_wrong(name: str) -> None:
    bundles, said = REFUSED[name]
    with pytest.raises(Refused) as caught:
        judged(*bundles)
    assert re.match(said, f"{caught.value.reason}: {caught.value}")


def test_no_changed_byte_of_what_was_signed_passes() -> None:
    good = json.loads(bundle_by_key(KEY, statement(DIGEST)))
    judged(json.dumps(good).encode())
    for part in ("payload", "sig"):
        place = good["dsseEnvelope"] if part == "payload" else good["dsseEnvelope"]["signatures"][0]
        text = place[part]
        for at in range(0, len(text) - 4, 7):
            place[part] = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
            assert reason(json.dumps(good).encode()).startswith("foreign_signature")
        place[part] = text


def test_what_the_real_cosign_writes_counts_as_a_signature_and_its_list_of_parts_does_not() -> None:
    written = json.loads((ROOT / "tests/scripts/cosign.json").read_text())
    signature, attestation = (json.dumps(written[name]).encode() for name in ("signature", "attestation"))
    signers = rule({"key": {"data": written["public_key"]}, "ctlog": {"insecureIgnoreTlog": True}})
    judged(attestation, signature, digest=written["digest"], signers=signers)
    refused = partial(reason, signers=signers)
    assert "no signature of an image" in refused(attestation, digest=written["digest"])
    assert "it is of" in refused(signature, digest=OTHER)
    assert "foreign_signature" in reason(signature, digest=written["digest"])


def test_an_image_that_the_cluster_does_not_ask_about_is_refused() -> None:
    elsewhere = rule({"key": {"data": pem(KEY)}}, glob="registry.example.com/shop/decision:*")
    assert "uncovered_image" in reason(bundle_by_key(KEY, statement(DIGEST)), signers=elsewhere)


# By a workflow: certificate, logs and identity.


@pytest.fixture(scope="module")
def sigstore() -> MiniSigstore:
    return MiniSigstore()


def judge(sigstore: MiniSigstore, folder: Path) -> Keyless:
    from sigstore.models import TrustedRoot  # noqa: PLC0415 - a second
    from sigstore.verify import Verifier  # noqa: PLC0415

    (folder / "root.json").write_bytes(sigstore.trusted_root())
    return partial(by_certificate, Verifier(trusted_root=TrustedRoot.from_file(str(folder / "root.json"))))


def test_a_workflow_signs_without_a_key(sigstore: MiniSigstore, tmp_path: Path) -> None:
    judged(sigstore.bundle(statement(DIGEST)), signers=KEYLESS, keyless=judge(sigstore, tmp_path))


@pytest.mark.parametrize(
    ("issuer", "subject", "said"),
    [
        (GITHUB, WORKFLOW.replace("main", "feature"), "SANs do not match"),
        (GITHUB, WORKFLOW.replace("shop/", "fork/"), "SANs do not match"),
        (GITHUB, WORKFLOW.replace("images.yaml", "check.yaml"), "SANs do not match"),
        ("https://login.example.com", WORKFLOW, "does not match"),
    ],
)
def test_another_workflow_does_not_count(
    sigstore: MiniSigstore, tmp_path: Path, issuer: str, subject: str, said: str
) -> None:
    bundle = sigstore.bundle(statement(DIGEST), issuer=issuer, subject=subject)
    told = reason(bundle, signers=KEYLESS, keyless=judge(sigstore, tmp_path))
    assert told.startswith("foreign_signature: ")
    assert said in told or "policies succeeded" in told


def _without_log(told: dict[str, Any]) -> None:
    told["verificationMaterial"]["tlogEntries"] = []


def _without_promise(told: dict[str, Any]) -> None:
    del told["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"]


def _later(told: dict[str, Any]) -> None:
    told["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = "1793530000"


def _another_payload(told: dict[str, Any]) -> None:
    told["dsseEnvelope"]["payload"] = told["dsseEnvelope"]["payload"].replace("YWFh", "YmJi", 1)


@pytest.mark.parametrize("damage", [_without_log, _without_promise, _later, _another_payload])
def test_each_part_of_what_a_workflow_shows_is_needed(
    sigstore: MiniSigstore, tmp_path: Path, damage: Callable[[dict[str, Any]], None]
) -> None:
    told = json.loads(sigstore.bundle(statement(DIGEST)))
    damage(told)
    damaged = json.dumps(told).encode()
    assert "foreign_signature" in reason(damaged, signers=KEYLESS, keyless=judge(sigstore, tmp_path))


def test_another_sigstore_does_not_count(sigstore: MiniSigstore, tmp_path: Path) -> None:
    bundle = MiniSigstore().bundle(statement(DIGEST))
    assert "foreign_signature" in reason(bundle, signers=KEYLESS, keyless=judge(sigstore, tmp_path))
    by_key = bundle_by_key(KEY, statement(DIGEST))
    assert "foreign_signature" in reason(by_key, signers=KEYLESS, keyless=judge(sigstore, tmp_path))
    assert "foreign_signature" in reason(sigstore.bundle(statement(DIGEST)), signers=BY_KEY)


# Where signatures are.


@pytest.mark.parametrize("referrers", [True, False])
def test_signatures_are_found_by_the_api_or_by_the_tag_that_stands_for_it(referrers: bool) -> None:
    registry = OciRegistry(referrers=referrers)
    registry.attach(DIGEST, b"an SBOM", predicate=SBOM)
    registry.attach(DIGEST, b"a chart", kind="application/vnd.example+json")
    registry.attach(OTHER, bundle_by_key(KEY, statement(OTHER)))
    judged(bundle_by_key(KEY, statement(DIGEST)), registry=registry)
    found = ImageRegistry(registry.transport).bundles(IMAGE, DIGEST, SIGNATURE)
    assert [json.loads(each)["mediaType"] for each in found] == [MEDIA_TYPE]


def test_a_bundle_that_does_not_say_what_it_is_of_is_read() -> None:
    registry = OciRegistry()
    registry.attach(DIGEST, bundle_by_key(KEY, statement(DIGEST)), predicate=None)
    judged(registry=registry)


def test_what_a_registry_makes_of_a_bundle_is_noticed() -> None:
    registry = OciRegistry()
    bundle = bundle_by_key(KEY, statement(DIGEST))
    registry.blobs[sha256(bundle)] = bundle
    registry.answers[f"blobs/{sha256(bundle)}"] = httpx.Response(200, content=b"another")
    with pytest.raises(Refused, match="whose bytes are"):
        judged(bundle, registry=registry)
    with pytest.raises(Refused, match=f"{MAX_BUNDLE_BYTES} are allowed"):
        judged(b"x" * (MAX_BUNDLE_BYTES + 1))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(403),
        httpx.Response(200, content=b"{}"),
        httpx.Response(200, content=b"<"),
    ],
)
def test_a_registry_that_does_not_say_what_refers_to_an_image_breaks(answer: httpx.Response) -> None:
    registry = OciRegistry(answers={f"referrers/{DIGEST}": answer})
    with pytest.raises(Broken, match="refers to"):
        judged(bundle_by_key(KEY, statement(DIGEST)), registry=registry)


# Whose signature counts.


def test_the_rule_of_this_repository_is_read_and_covers_every_image_of_a_release() -> None:
    document = yaml.safe_load((ROOT / PATH).read_text())
    signers = Signers.model_validate(document)
    ((identity,),) = [each.cosign.identities for each in signers.attestors]
    assert (identity.issuer, identity.subject) == (GITHUB, WORKFLOW)
    assert (ROOT / WORKFLOW.partition("purchase-prediction/")[2].partition("@")[0]).is_file()
    for environment in ("staging", "production"):
        overlay = yaml.safe_load((ROOT / "environments" / environment / "kustomization.yaml").read_text())
        for image in overlay["images"]:
            assert signers.cover(f"{image['newName']}:9c0d7e2")
    assert not signers.cover("registry.example.com/purchase-prediction/mirror/postgres:17")
    assert not signers.cover("registry.example.com.evil.example/purchase-prediction/forecast:1")
    (validation,) = document["spec"]["validations"]
    assert all(f"attestors.{each.name}" in validation["expression"] for each in signers.attestors)


LOOSER: dict[str, Callable[[dict[str, Any]], Any]] = {
    "an option that is not known here": lambda cosign: cosign.update(source={"repository": "x"}),
    "no log for a certificate": lambda cosign: cosign.update(ctlog={"insecureIgnoreTlog": True}),
    "no log of certificates": lambda cosign: cosign.update(ctlog={"insecureIgnoreSCT": True}),
    "a pattern of workflows": lambda cosign: cosign["keyless"]["identities"][0].update(subjectRegExp=".*"),
    "nobody": lambda cosign: cosign["keyless"].update(identities=[]),
    "a key beside it": lambda cosign: cosign.update(key={"data": "x"}),
}


@pytest.mark.parametrize("name", LOOSER)
def test_a_rule_that_says_more_than_is_understood_is_refused(name: str) -> None:
    document = rule({"keyless": {"identities": [{"issuer": GITHUB, "subject": WORKFLOW}]}})
    LOOSER[name](document["spec"]["attestors"][0]["cosign"])
    with pytest.raises(Refused) as caught:
        parse_signers(yaml.safe_dump(document).encode())
    assert caught.value.reason == "bad_signers"


def test_a_rule_that_only_warns_or_is_missing_lets_nothing_through(world: World) -> None:
    with pytest.raises(Refused, match="is not on the trunk"):
        signers_of(world.git, "main")
    for text in (yaml.safe_dump(BY_KEY).replace("Deny", "Warn"), "a: [", "", "kind: ClusterPolicy"):
        with pytest.raises(Refused, match=PATH):
            parse_signers(text.encode())


# In front of a merge.

SIGNED = IMAGES + b"signatures: true\n"


def test_a_promotion_is_merged_only_with_signed_images(tmp_path: Path) -> None:
    world = World(tmp_path, rules={"local": SIGNED})
    world.commit_as_person("rule", {PATH: yaml.safe_dump(BY_KEY).encode()})
    world.train(1)
    opened = world.open()
    assert opened.pull_request is not None
    number = opened.pull_request.number
    for signer, said in (
        (None, "unsigned_image"),
        (lambda digest: [bundle_by_key(STRANGER, statement(digest))], "foreign_signature"),
        (lambda _: [bundle_by_key(KEY, statement(DIGEST))], "foreign_signature"),
    ):
        world.images.signer = signer
        with pytest.raises(Refused) as caught:
            world.merge(number)
        assert caught.value.reason == said
    world.images.signer = lambda digest: [bundle_by_key(KEY, statement(digest))]
    assert world.merge(number).release.model_version == 1


def test_an_environment_that_asks_for_signatures_without_a_rule_gets_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, rules={"local": SIGNED})
    world.train(1)
    opened = world.open()
    assert opened.pull_request is not None
    with pytest.raises(Refused, match="is not on the trunk"):
        world.merge(opened.pull_request.number)
    world.commit_as_person("rules", {rules_path_of("local"): IMAGES})
    assert world.merge(opened.pull_request.number).release.model_version == 1
