"""The verbs that look after the lake, as a person or a workflow runs them."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ml.__main__ import main
from ml.errors import ModelNotFound
from ml.lake import Lake
from ml.model_store import ModelStore
from ml.panel import build_panel, load_history
from ml.registry import Registry
from ml.settings import MlSettings
from tests.ml.small_history import small_shop
from tests.ml.small_models import bundle_bytes
from tests.ml.small_shop import KEY, NOW, SETTINGS, good_rows, row, take, write


class Ml:
    """`python -m ml` in a state folder: the exit code, the JSON of stdout, and stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        self._capsys.readouterr()
        code = main(list(arguments))
        said = self._capsys.readouterr()
        return code, json.loads(said.out), said.err


@pytest.fixture
def ml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ml:
    """On a lake with a panel of three products."""
    for name, value in (("STATE", str(tmp_path)), ("SHOP_ZONE", "UTC"), ("PSEUDONYM_KEY", KEY)):
        monkeypatch.setenv(f"ML_{name}", value)
    newest = row(event_time=datetime(2026, 9, 2, tzinfo=UTC), order_id="newest")
    lake = Lake(tmp_path / "lake")
    bad = [row(price=0, order_id="free"), row(price=-1, order_id="less"), row(category="_non_product")]
    take(write(tmp_path / "shop.parquet", [*good_rows(), newest, *bad]), lake)
    build_panel(lake, SETTINGS, NOW)
    return Ml(capsys)


def test_compact_says_files_and_bytes_before_and_after(ml: Ml, tmp_path: Path) -> None:
    for i in range(3):
        take(write(tmp_path / "more.parquet", [row(order_id=f"more {i}")]), Lake(tmp_path / "lake"))
    code, report, _ = ml("compact")
    assert code == 0
    assert report["before"]["files"] - report["after"]["files"] == 3
    assert [table["table"] for table in report["tables"]] == ["events"]
    assert ml("compact")[1]["tables"] == []


def test_quarantine_counts_and_shows_examples(ml: Ml) -> None:
    code, report, _ = ml("quarantine", "--examples", "1")
    assert (code, report["rows"]) == (0, 3)
    first, second = report["reasons"]
    assert (first["reason"], first["rows"], first["sources"]) == (
        "price_not_positive",
        2,
        {"shop.parquet": 2},
    )
    assert len(first["examples"]) == 1
    assert json.loads(first["examples"][0]["row"])["price"] in {"0.0", "-1.0"}
    assert second["reason"] == "not_a_product"
    assert ml("quarantine", "--reason", "not_a_product")[1]["rows"] == 1
    assert ml("quarantine", "--source", "elsewhere")[1] == {"rows": 0, "reasons": []}


def test_erase_reads_the_id_from_stdin_and_never_says_it(
    ml: Ml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("c-1\n"))
    code, report, said = ml("erase", "--customer-file", "-")
    assert (code, report["events"], report["refused_rows"], report["left_in"]) == (0, 10, 3, [])
    assert "c-1" not in json.dumps(report) + said
    (tmp_path / "two").write_text("c-1\nc-2\n")
    code, report, _ = ml("erase", "--customer-file", str(tmp_path / "two"))
    assert (code, report["check"]) == (1, "bad-customer")
    assert "c-1" not in report["error"]


def test_lineage_of_a_row_as_json_and_as_a_table(ml: Ml) -> None:
    code, report, said = ml("lineage", "--product", "a", "--month", "2026-08", "--table")
    assert (code, report["agrees"], report["row"]["units"]) == (0, True, 8)
    assert "2026-08-10T09:00  purchase      8" in said
    assert ml("lineage", "--product", "a")[1]["check"] == "bad-question"


def test_lineage_of_a_stored_model_and_of_none(ml: Ml, tmp_path: Path) -> None:
    """The bundle was made in another lake, so its data is not here."""
    sha256 = ModelStore(tmp_path / "models").put_bundle(bundle_bytes(small_shop(), "ses"))
    code, report, _ = ml("lineage", "--model", sha256)
    assert (code, report["reproducible"]) == (1, False)
    assert report["model"]["candidate"] == "ses"
    assert "was it made in another lake" in report["reason"]
    assert ml("lineage", "--model", "0" * 64)[1]["check"] == "model-not-found"


def test_retain_keeps_what_is_named_in_a_file_and_what_the_registry_names(
    ml: Ml, tmp_path: Path, new_state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_state(tmp_path)
    lake = Lake(tmp_path / "lake")
    first = load_history(lake)
    name = lake.read("data_versions").collect()["name"][0]
    take(write(tmp_path / "more.parquet", [row(order_id="more", quantity=9)]), lake)
    build_panel(lake, SETTINGS, NOW)
    keep = tmp_path / "keep.json"
    keep.write_text(json.dumps({"kept": [name]}))
    assert ml("retain", "--keep-file", str(keep))[1]["check"] == "bad-keep-file"
    keep.write_text(json.dumps({"keep": [name]}))
    code, report, _ = ml("retain", "--keep-file", str(keep), "--days", "0")
    assert (code, report["kept"], report["lost"]) == (0, [name], [])

    class Registered:
        data_version = name

    def resolve(_: Registry, alias: str) -> type[Registered]:
        if alias == "challenger":
            raise ModelNotFound(alias)
        return Registered

    with monkeypatch.context() as then:
        then.setattr(Registry, "resolve", resolve)
        assert ml("retain", "--days", "0")[1]["kept"] == [name]
    code, report, _ = ml("retain", "--days", "0")
    assert (code, report["kept"], report["lost"]) == (0, [], [name])
    assert ml("retain", "--keep", name, "--days", "0")[0] == 1, "it is gone, so it cannot be kept"
    assert first.n == 3
    assert MlSettings().lake == lake.root
