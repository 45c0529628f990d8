"""Signatures of the model store: whoever asks for them reads nothing that another wrote, and openssl agrees."""

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from ml import signatures
from ml.errors import BundleRefused, StoreUnavailable
from ml.model_store import HEAD_BYTES, ModelStore

DATA_VERSION = "2025-12.000000000000"
KEYS: dict[str, Callable[[], Any]] = {
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "ECDSA": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
}


def pair(folder: Path, name: str, kind: str = "Ed25519", password: bytes | None = None) -> tuple[Path, Path]:
    """Files of a private key and of its public one."""
    key = KEYS[kind]()
    private, public = folder / f"{name}.key", folder / f"{name}.pem"
    hidden = NoEncryption() if password is None else BestAvailableEncryption(password)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.mark.parametrize("kind", list(KEYS))
def test_what_one_signed_the_other_reads(tmp_path: Path, kind: str) -> None:
    private, public = pair(tmp_path, "trainer", kind)
    writer = ModelStore(tmp_path / "store", signing_key=private)
    sha256 = writer.put_bundle(b"model")
    writer.put_snapshot(sha256, DATA_VERSION, b"snapshot")
    reader = ModelStore(tmp_path / "store", signers=public)
    assert reader.get_bundle(sha256) == b"model"
    assert reader.newest_snapshot(sha256) == (DATA_VERSION, b"snapshot")
    assert reader.newest_snapshot(sha256, HEAD_BYTES) == (DATA_VERSION, b"snapshot")


def test_nothing_unsigned_is_read_where_signatures_are_asked_for(tmp_path: Path) -> None:
    private, public = pair(tmp_path, "trainer")
    anybody = ModelStore(tmp_path / "store")
    sha256 = anybody.put_bundle(b"model")
    anybody.put_snapshot(sha256, DATA_VERSION, b"snapshot")
    reader = ModelStore(tmp_path / "store", signers=public)
    with pytest.raises(BundleRefused, match=rf"bundles/{sha256}.tar has no signature.*ml sign"):
        reader.get_bundle(sha256)
    with pytest.raises(BundleRefused, match="has no signature"):
        reader.newest_snapshot(sha256)
    assert anybody.get_bundle(sha256) == b"model"  # as ever where nobody asks
    signed = ModelStore(tmp_path / "store", signing_key=private).sign(sha256)
    assert signed == [f"bundles/{sha256}.tar", f"snapshots/{sha256}/{DATA_VERSION}.jsonl"]
    assert reader.get_bundle(sha256) == b"model"
    assert reader.newest_snapshot(sha256)[1] == b"snapshot"


def test_a_snapshot_that_somebody_else_put_in_its_place_is_refused(tmp_path: Path) -> None:
    private, public = pair(tmp_path, "trainer")
    stranger, _ = pair(tmp_path, "stranger")
    store = tmp_path / "store"
    sha256 = ModelStore(store, signing_key=private).put_bundle(b"model")
    ModelStore(store, signing_key=private).put_snapshot(sha256, DATA_VERSION, b"snapshot")
    reader = ModelStore(store, signers=public)
    for other in (None, stranger):
        ModelStore(store, signing_key=other).put_snapshot(sha256, DATA_VERSION, b"other")
        with pytest.raises(BundleRefused, match="sign"):
            reader.newest_snapshot(sha256)
        assert (
            ModelStore(store).newest_snapshot(sha256)[1] == b"other"
        )  # the signature alone tells them apart
    ModelStore(store, signing_key=private).put_snapshot(sha256, DATA_VERSION, b"newer")
    assert reader.newest_snapshot(sha256)[1] == b"newer"


def test_a_file_under_another_name_needs_a_signature_of_its_own(tmp_path: Path) -> None:
    private, public = pair(tmp_path, "trainer")
    writer, reader = (
        ModelStore(tmp_path / "store", signing_key=private),
        ModelStore(tmp_path / "store", signers=public),
    )
    sha256, other = writer.put_bundle(b"model"), writer.put_bundle(b"other")
    writer.put_snapshot(sha256, DATA_VERSION, b"snapshot")
    ModelStore(tmp_path / "store").put_snapshot(other, DATA_VERSION, b"snapshot")
    with pytest.raises(BundleRefused, match="for something else"):
        reader.newest_snapshot(other)


def test_keys_rotate_without_a_moment_in_which_nothing_is_read(tmp_path: Path) -> None:
    old, old_public = pair(tmp_path, "old")
    new, new_public = pair(tmp_path, "new")
    store, signers = tmp_path / "store", tmp_path / "signers.pem"
    signers.write_bytes(old_public.read_bytes())
    reader = ModelStore(store, signers=signers)
    first = ModelStore(store, signing_key=old).put_bundle(b"first")
    signers.write_bytes(old_public.read_bytes() + new_public.read_bytes())
    second = ModelStore(store, signing_key=new).put_bundle(b"second")
    assert (reader.get_bundle(first), reader.get_bundle(second)) == (b"first", b"second")
    signers.write_bytes(new_public.read_bytes())
    assert reader.get_bundle(second) == b"second"
    with pytest.raises(BundleRefused, match="not signed by a key"):
        reader.get_bundle(first)


def flips(envelope: bytes) -> list[bytes]:
    """The envelope with one character changed, for every fifth of them."""
    return [
        envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :] for at in range(0, len(envelope), 5)
    ]


def test_no_changed_envelope_is_taken_for_another_file(tmp_path: Path) -> None:
    private, public = pair(tmp_path, "trainer")
    envelope = signatures.attestation("bundles/a.tar", "a" * 64, private)
    signatures.check("bundles/a.tar", "a" * 64, envelope, public)
    refused = 0
    for changed in [
        *flips(envelope),
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        json.dumps({"payload": 1}).encode(),
    ]:
        try:
            signatures.check("bundles/a.tar", "a" * 64, changed, public)
        except BundleRefused:
            refused += 1
    unsigned = {**json.loads(envelope), "signatures": []}
    with pytest.raises(BundleRefused):
        signatures.check("bundles/a.tar", "a" * 64, json.dumps(unsigned).encode(), public)
    assert (
        refused > len(flips(envelope)) * 0.9
    )  # spaces between fields, and bits that base64 does not use, may differ
    for name, sha256 in (("bundles/b.tar", "a" * 64), ("bundles/a.tar", "b" * 64)):
        for changed in [envelope, *flips(envelope)]:
            with pytest.raises(BundleRefused):
                signatures.check(name, sha256, changed, public)


def test_openssl_says_the_same(tmp_path: Path) -> None:
    """The envelope is what others can verify without this project: PAE of DSSE, signature by Ed25519."""
    private, public = tmp_path / "signing.key", tmp_path / "signers.pem"
    run = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(private)]
    subprocess.run(run, check=True, capture_output=True)
    run = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(run, check=True, capture_output=True)
    envelope = json.loads(signatures.attestation("bundles/a.tar", "a" * 64, private))
    payload = base64.b64decode(envelope["payload"])
    kind = b"application/vnd.in-toto+json"
    (tmp_path / "pae").write_bytes(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    checked = ["pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin"]
    files = ["-in", str(tmp_path / "pae"), "-sigfile", str(tmp_path / "sig")]
    assert subprocess.run(["openssl", *checked, *files], check=False, capture_output=True).returncode == 0
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "bundles/a.tar", "digest": {"sha256": "a" * 64}}]


def test_a_key_that_cannot_be_read_stops_before_anything_is_written(tmp_path: Path) -> None:
    hidden, public = pair(tmp_path, "hidden", password=b"secret")
    for key in (tmp_path / "missing.key", public, hidden):
        with pytest.raises(StoreUnavailable, match=key.name):
            ModelStore(tmp_path / "store", signing_key=key).put_bundle(b"model")
    assert not (tmp_path / "store").exists()
    with pytest.raises(StoreUnavailable, match="ML_SIGNING_KEY_FILE"):
        ModelStore(tmp_path / "store").sign("a" * 64)


def test_keys_of_signers_that_cannot_be_read_let_nothing_in(tmp_path: Path) -> None:
    private, _ = pair(tmp_path, "trainer")
    sha256 = ModelStore(tmp_path / "store", signing_key=private).put_bundle(b"model")
    empty, broken = tmp_path / "empty.pem", tmp_path / "broken.pem"
    empty.write_text("# nobody yet\n")
    broken.write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    for signers in (tmp_path / "missing.pem", empty, broken):
        with pytest.raises(StoreUnavailable, match=signers.name):
            ModelStore(tmp_path / "store", signers=signers).get_bundle(sha256)
