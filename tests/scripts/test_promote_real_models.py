"""The command line with the real registry, store, bundle and snapshot."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml.bundle import unpack
from ml.model_store import ModelStore
from ml.registry import Registry
from ml.settings import MlSettings
from ml.snapshot import snapshot_bytes
from scripts.evidence.candidate import BENCHMARK, VERDICT
from scripts.evidence.papers import MONEY
from scripts.evidence.record import Evidence
from scripts.history.git import Git
from scripts.promote import main
from tests.ml.small_history import small_shop
from tests.ml.small_models import bundle_bytes
from tests.ml.test_signatures import pair
from tests.scripts.world import EARNED, World

VERDICT_PAPER = {
    "answer": "better",
    "against": "naive",
    "ratio": 0.9,
    "lower": 0.8,
    "upper": 0.95,
    "reasons": [],
}
BENCHMARK_PAPER = [{"candidate": "ses", "wape": 0.4}, {"candidate": "naive", "wape": 0.6}]


def test_a_trained_model_is_proposed_and_one_flipped_byte_stops_it(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ML_STATE", str(world.folder / "state"))
    settings, history = MlSettings(), small_shop()
    store, registry = ModelStore(settings.model_store), Registry(settings)
    data = bundle_bytes(history)
    digest = store.put_bundle(data)
    bundle = unpack(data, digest)
    papers = {
        VERDICT: json.dumps(VERDICT_PAPER),
        BENCHMARK: json.dumps(BENCHMARK_PAPER),
        MONEY: json.dumps(EARNED),
    }
    version = registry.register(digest, bundle.manifest, {"wape": 0.4}, papers)
    registry.set_alias("challenger", version)
    wish = [
        "open",
        "--repository",
        str(world.forge.directory),
        "--environment",
        "local",
        "--model",
        "challenger",
    ]

    assert main([*wish, "--image-tag", "abc1234"]) == 1
    assert json.loads(capsys.readouterr().out)["reason"] == "no_snapshot"

    at = datetime(2026, 11, 1, tzinfo=UTC)
    name = bundle.manifest.data_version
    place = Path(store.put_snapshot(digest, name, snapshot_bytes(bundle, version, name, history, at)))
    whole = place.read_bytes()
    place.write_bytes(whole[:-20] + b"x" + whole[-19:])
    assert main([*wish, "--image-tag", "abc1234"]) == 1
    assert json.loads(capsys.readouterr().out)["reason"] == "no_snapshot"
    place.write_bytes(whole)

    flip(settings.state / "models" / "bundles" / f"{digest}.tar")
    assert main([*wish, "--image-tag", "abc1234"]) == 1
    assert json.loads(capsys.readouterr().out)["reason"] == "bad_bundle"
    flip(settings.state / "models" / "bundles" / f"{digest}.tar")

    assert main([*wish, "--image-tag", "abc1234", "--requested-by", "ada"]) == 0
    opened = json.loads(capsys.readouterr().out)
    assert opened["release"] == {"image_tag": "abc1234", "model_version": version, "model_sha256": digest}
    path = f"environments/local/evidence/{version}-abc1234.json"
    evidence = Evidence.from_bytes(Git(world.forge.directory).read(opened["head"], path) or b"")
    assert evidence.model.candidate == "ses"
    assert evidence.model.data_version == name
    assert evidence.benchmark == tuple(BENCHMARK_PAPER)

    check = ["check", "1", "--repository", str(world.forge.directory)]
    assert main(check) == 0
    assert json.loads(capsys.readouterr().out)["release"] == opened["release"]

    trainer, signers = pair(world.folder, "trainer")
    monkeypatch.setenv("ML_SIGNERS_FILE", str(signers))
    assert main(check) == 1
    refused = json.loads(capsys.readouterr().out)
    assert (refused["reason"], "has no signature" in refused["error"]) == ("bad_bundle", True)
    ModelStore(settings.model_store, signing_key=trainer).sign(digest)
    assert main(check) == 0
    capsys.readouterr()
    flip(settings.state / "models" / "bundles" / f"{digest}.tar")
    assert main(check) == 1
    assert json.loads(capsys.readouterr().out)["reason"] == "bad_bundle"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
