"""What a bundle says it was made of: valid CycloneDX, true of the bundle, and covered by its digest and signature."""

import hashlib
import io
import json
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from ml.__main__ import main
from ml.bundle import SBOM, unpack
from ml.errors import BundleRefused
from ml.model_store import ModelStore
from ml.registry import Registry
from ml.sbom import LOCK, Library, image_sbom, installed, locked
from ml.settings import MlSettings
from ml.training import train
from scripts import sbom
from tests.ml.small_history import small_shop
from tests.ml.test_signatures import pair

LOCKED = """\
alpha-beta==1.0 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
Gamma.Delta[extra]==2.5 ; sys_platform == 'win32' \\
    --hash=sha256:{b}
""".format(a="a" * 64, b="b" * 64)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[MlSettings, str]:
    """A signed model of a small shop: settings and sha256."""
    folder = tmp_path_factory.mktemp("sbom")
    private, public = pair(folder, "trainer")
    settings = MlSettings(state=folder / "state", signing_key_file=private, signers_file=public)
    shop = small_shop(products=40, months=14)
    report = train(shop, Registry(settings), ModelStore.of(settings), seed=1, forced="ses")
    return settings, report.sha256


def document_of(trained: tuple[MlSettings, str]) -> dict[str, Any]:
    settings, sha256 = trained
    told: dict[str, Any] = json.loads(unpack(ModelStore.of(settings).get_bundle(sha256), sha256).sbom)
    return told


def faults(document: dict[str, Any]) -> object:
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))


def test_it_is_valid_cyclonedx(trained: tuple[MlSettings, str]) -> None:
    document = document_of(trained)
    assert faults(document) is None
    assert faults({**document, "maker": "?"}) is not None
    assert faults(image_sbom("forecast", locked(LOCKED))) is None


def test_it_lists_the_other_files_of_the_bundle_with_their_digests(trained: tuple[MlSettings, str]) -> None:
    settings, sha256 = trained
    with tarfile.open(fileobj=io.BytesIO(ModelStore.of(settings).get_bundle(sha256))) as archive:
        held = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    held.pop(f"record/{SBOM}.txt")
    listed = {
        each["name"]: each["hashes"][0]["content"]
        for each in document_of(trained)["metadata"]["component"]["components"]
    }
    assert listed == {name: hashlib.sha256(content).hexdigest() for name, content in held.items()}


def test_it_says_which_data_code_and_libraries(trained: tuple[MlSettings, str]) -> None:
    settings, sha256 = trained
    manifest = unpack(ModelStore.of(settings).get_bundle(sha256), sha256).manifest
    parts = {each["bom-ref"]: each for each in document_of(trained)["components"]}
    assert parts["data"]["version"] == manifest.data_version
    assert parts["data"]["hashes"] == [{"alg": "SHA-256", "content": manifest.data_digest}]
    assert parts["code"]["version"] == manifest.code_commit
    numpy = parts[f"pkg:pypi/numpy@{version('numpy')}"]
    for each in numpy["hashes"]:
        assert f"--hash=sha256:{each['content']}" in LOCK.read_text()
    assert numpy["hashes"]
    asked = {ref for each in document_of(trained)["dependencies"] for ref in each["dependsOn"]}
    assert asked == set(parts)


def test_the_signature_of_the_bundle_covers_it(trained: tuple[MlSettings, str]) -> None:
    settings, sha256 = trained
    store = ModelStore.of(settings)
    data = store.get_bundle(sha256)
    name = b'"name":"numpy"'
    changed = data.replace(name, b'"name":"nunpy"')
    assert changed != data
    (Path(settings.model_store) / "bundles" / f"{sha256}.tar").write_bytes(changed)
    with pytest.raises(BundleRefused, match="the file was changed"):
        store.get_bundle(sha256)
    other = ModelStore(settings.model_store).put_bundle(changed)
    with pytest.raises(BundleRefused, match="has no signature"):
        store.get_bundle(other)
    (Path(settings.model_store) / "bundles" / f"{sha256}.tar").write_bytes(data)


def test_it_is_kept_beside_the_run_and_printed(
    trained: tuple[MlSettings, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, sha256 = trained
    registry = Registry(settings)
    kept = registry.artifact(registry.resolve("challenger").version, "sbom.json")
    assert json.loads(kept) == document_of(trained)
    monkeypatch.setenv("ML_STATE", str(settings.state))
    assert main(["sbom", sha256]) == 0
    assert json.loads(capsys.readouterr().out) == document_of(trained)


def test_a_lock_is_read_as_pip_reads_it(tmp_path: Path) -> None:
    assert locked(LOCKED) == [
        Library("alpha-beta", "1.0", ("a" * 64, "b" * 64)),
        Library("gamma-delta", "2.5", ("b" * 64,)),
    ]
    lock = tmp_path / "lock.txt"
    lock.write_text(f"numpy=={version('numpy')} \\\n    --hash=sha256:{'c' * 64}\npolars==0.0.1\nabsent==1\n")
    assert installed(lock) == [
        Library("numpy", version("numpy"), ("c" * 64,)),
        Library("polars", version("polars")),
    ]
    assert Library("numpy", version("numpy")) in installed(tmp_path / "none.txt")


def test_every_image_has_its_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert sbom.main([]) == 0
    lists = json.loads(capsys.readouterr().out)
    assert set(lists) == {"collector", "console", "decision", "forecast", "oncall", "training"}
    for image, document in lists.items():
        assert faults(document) is None
        lock = (LOCK.parent / f"{image}.txt").read_text()
        assert sum(len(each["hashes"]) for each in document["components"]) == lock.count("--hash=sha256:")
        assert [each["name"] for each in document["components"]] == sorted(
            each["name"] for each in document["components"]
        )
