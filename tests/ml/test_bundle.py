"""Bundles: same input same bytes, every change refused, no code inside."""

import hashlib
import io
import json
import pickle
import random
import tarfile

import numpy as np
import pytest

from ml.bundle import CARD, MAX_BYTES, Bundle, Manifest, pack, unpack
from ml.errors import BundleRefused
from ml.features import category_totals
from ml.models import CANDIDATES
from tests.ml.small_history import small_shop
from tests.ml.small_models import bundle_bytes, manifest

SHOP = small_shop()
DATA = bundle_bytes(SHOP)
SHA256 = hashlib.sha256(DATA).hexdigest()


def reread(data: bytes) -> Bundle:
    """As a release would that names exactly these bytes: only the content can refuse now."""
    return unpack(data, hashlib.sha256(data).hexdigest())


def rewritten(change: dict[str, bytes | None]) -> bytes:
    """The bundle with members replaced, added or (None) removed, otherwise as `pack` writes it."""
    with tarfile.open(fileobj=io.BytesIO(DATA)) as archive:
        members = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    members = {name: data for name, data in (members | change).items() if data is not None}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(members):
            info = tarfile.TarInfo(name)
            info.size = len(members[name])
            archive.addfile(info, io.BytesIO(members[name]))
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_the_helper_that_rewrites_can_leave_a_bundle_readable() -> None:
    """Negative control for the refusals below: an untouched rewrite is accepted."""
    reread(rewritten({}))


def test_the_same_model_gives_the_same_bytes() -> None:
    assert bundle_bytes(small_shop()) == DATA


def test_no_member_carries_a_time_or_an_owner() -> None:
    with tarfile.open(fileobj=io.BytesIO(DATA)) as archive:
        members = archive.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
    assert [m.name for m in members] == sorted(m.name for m in members)


@pytest.mark.parametrize("candidate", sorted(CANDIDATES))
def test_every_candidate_predicts_the_same_bits_after_a_round_trip(candidate: str) -> None:
    shop = small_shop(months=18)
    data = bundle_bytes(shop, candidate)
    bundle, again = (unpack(data, hashlib.sha256(data).hexdigest()) for _ in range(2))
    categories = category_totals(shop)
    first = bundle.predictor.predict(shop, categories)
    second = again.predictor.predict(shop, categories)
    assert first.mean.tobytes() == second.mean.tobytes()
    assert first.levels.tobytes() == second.levels.tobytes()
    assert bundle.manifest == manifest(candidate)
    states = {
        "model": bundle.predictor.model.state(),
        "calibration": bundle.predictor.calibration.state(),
        "record": bundle.record.state(),
        "months": bundle.months.state(),
    }
    assert pack(bundle.manifest, **states) == data


def test_a_model_card_is_read_back_and_one_without_has_none() -> None:
    card = "# Model card\n\nÜmlaut | 80 %\n"
    assert unpack(DATA, SHA256).card == ""
    bundle = reread(rewritten({f"record/{CARD}.txt": card.encode()}))
    assert bundle.card == card
    assert bundle.record.state().keys() == unpack(DATA, SHA256).record.state().keys()


def flips(count: int) -> None:
    rng = random.Random(1)  # noqa: S311 - a fixed choice of bits, no secret
    for _ in range(count):
        broken = bytearray(DATA)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        with pytest.raises(BundleRefused, match="sha256"):
            unpack(bytes(broken), SHA256)


def test_a_flipped_bit_anywhere_is_refused() -> None:
    flips(100)


@pytest.mark.soak
def test_a_thousand_flipped_bits_are_refused() -> None:
    flips(1_000)


def test_flips_under_a_matching_digest_are_read_or_refused_but_never_crash() -> None:
    rng = random.Random(2)  # noqa: S311
    refused = 0
    for _ in range(200):
        broken = bytearray(DATA)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        try:
            reread(bytes(broken))
        except BundleRefused:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("length", [0, 1, 511, 512, len(DATA) // 2])
def test_a_cut_bundle_is_refused(length: int) -> None:
    with pytest.raises(BundleRefused):
        reread(DATA[:length])


def test_a_pickle_is_refused_and_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("a pickle ran",)

    for name, content in (
        ("model/bomb.pkl", pickle.dumps(Bomb())),
        ("model/bomb.npy", npy(np.array([Bomb()], dtype=object))),
        ("model/bomb.npy", pickle.dumps(Bomb())),
    ):
        with pytest.raises(BundleRefused):
            reread(rewritten({name: content}))
    assert "a pickle ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        "../manifest.json",
        "/etc/passwd",
        "model/../../x.txt",
        "model/.hidden.txt",
        "model/x.py",
        "x.npy",
        "model/x",
    ],
)
def test_a_member_with_another_name_is_refused(name: str) -> None:
    with pytest.raises(BundleRefused, match="is not one of"):
        reread(rewritten({name: b"x"}))


def test_a_link_is_refused() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("model/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "manifest.json"
        archive.addfile(link)
    with pytest.raises(BundleRefused, match="not a plain file"):
        reread(buffer.getvalue())


def test_a_member_that_is_there_twice_is_refused() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("model/a.txt"), io.BytesIO())
    with pytest.raises(BundleRefused, match="there twice"):
        reread(buffer.getvalue())


def test_an_array_that_claims_more_than_it_holds_is_refused_before_memory_is_taken() -> None:
    honest = npy(np.zeros(4))
    claim = honest.replace(b"(4,)", b"(4000000000000,)", 1).replace(b" " * 12 + b"\n", b"\n", 1)
    with pytest.raises(BundleRefused, match="holds 32 bytes"):
        reread(rewritten({"model/claim.npy": claim}))


def test_a_newer_format_says_to_update() -> None:
    fields = json.loads(manifest().model_dump_json()) | {"format": 2, "something": "new"}
    with pytest.raises(BundleRefused, match=r"format 2 is newer than 1.*update"):
        reread(rewritten({"manifest.json": json.dumps(fields).encode()}))


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"\xff", b"null"])
def test_a_missing_or_broken_manifest_is_refused(content: bytes | None) -> None:
    with pytest.raises(BundleRefused):
        reread(rewritten({"manifest.json": content}))


def test_a_candidate_that_this_code_does_not_have_is_named() -> None:
    fields = json.loads(manifest().model_dump_json()) | {"candidate": "crystal_ball"}
    with pytest.raises(BundleRefused, match="crystal_ball"):
        reread(rewritten({"manifest.json": json.dumps(fields).encode()}))


def test_a_bundle_beyond_the_limit_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.bundle.MAX_BYTES", len(DATA) - 1)
    with pytest.raises(BundleRefused, match="larger than"):
        unpack(DATA, SHA256)
    assert len(DATA) < MAX_BYTES


def test_objects_cannot_be_packed() -> None:
    with pytest.raises(TypeError, match="without pickle"):
        pack(manifest(), model={"a": np.array([object()])}, calibration={}, record={}, months={})


def test_a_manifest_says_nothing_of_time_or_place() -> None:
    fields = set(Manifest.model_fields)
    assert not {
        name for name in fields if "path" in name or "time" in name or name.endswith("_at") or "host" in name
    }
