"""What comes back from a backup is what was there, and half a backup is none."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.data_version import data_version_of
from ml.event_store import Inbox, StoredEvent
from ml.folder import Folder
from ml.ingest import drain_inbox
from ml.lake import Lake
from ml.model_store import DRIFT, Files, ModelStore
from ml.registry import Registry
from ml.settings import MlSettings
from scripts.backup import parts
from scripts.backup.__main__ import main
from scripts.backup.places import Backup, Unfinished, files_at, names
from scripts.errors import Refused
from tests.ml.small_history import small_shop
from tests.ml.small_models import bundle_bytes, manifest
from tests.ml.small_shop import KEY
from tests.ml.test_events import event
from tests.ml.test_version_table import shop
from tests.repository.imports import ROOT
from tests.s3 import BUCKET, NO_ACCOUNT, s3_server

NAME, LATER = "20261120T030000Z", "20261121T030000Z"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def settings_of(state: Path, **changes: Any) -> MlSettings:
    return MlSettings.model_validate({"state": state, "shop_zone": "UTC", "pseudonym_key": KEY, **changes})


def accept(settings: MlSettings, *ids: str) -> None:
    assert isinstance(settings.inbox, Path)
    inbox = Inbox(settings.inbox)
    receipts = inbox.append([event(event_id=each) for each in ids], "web")
    assert [each.status for each in receipts] == ["accepted"] * len(ids)
    inbox.close()


def accepted(settings: MlSettings) -> list[StoredEvent]:
    assert isinstance(settings.inbox, Path)
    inbox = Inbox(settings.inbox, create=False)
    try:
        return inbox.after(0, 10_000)
    finally:
        inbox.close()


def drain(settings: MlSettings) -> None:
    assert isinstance(settings.inbox, Path)
    inbox = Inbox(settings.inbox)
    drain_inbox(inbox, Lake(settings.lake), settings, now=NOW)
    inbox.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state with two registered models, tables of several versions, and an inbox that was read in part."""
    settings = settings_of(tmp_path_factory.mktemp("made") / "state")
    settings.state.mkdir()
    shop(settings.state)  # makes `lake` there
    accept(settings, *(f"first-{number}" for number in range(20)))
    drain(settings)
    accept(settings, "not-yet-read")
    registry, store = Registry(settings), ModelStore(settings.model_store)
    for candidate in ("ses", "naive"):
        history = small_shop()
        sha256 = store.put_bundle(bundle_bytes(history, candidate))
        store.put_past(sha256, data_version_of(history).name, [b"{}", candidate.encode()])
        store.put_snapshot(sha256, data_version_of(history).name, f'{{"of": "{candidate}"}}'.encode())
        version = registry.register(
            sha256, manifest(candidate), {"loss": 0.5}, {"card.md": f"the {candidate}"}
        )
    registry.set_alias("champion", 1)
    registry.set_alias("challenger", version)
    store.put_report(DRIFT, b'{"answer": "no drift"}')
    files_at(settings.model_store).write("signatures/of-a-bundle", b"signed")
    (settings.state / "pseudonym.key").write_text("a secret")
    return settings.state


@pytest.fixture
def state(made: Path, tmp_path: Path) -> MlSettings:
    """A copy at a place of its own, its registry still naming the artifacts of the first."""
    shutil.copytree(made, tmp_path / "state")
    return settings_of(tmp_path / "state")


def make(settings: MlSettings, files: Files, name: str = NAME, tell: Callable[[str], object] = len) -> None:
    unfinished = Unfinished(files, name)
    parts.make(settings, parts.NOTHING, unfinished, tell)
    unfinished.finish()


def backed_up(settings: MlSettings, place: Path | str, tell: Callable[[str], object] = len) -> Backup:
    make(settings, files_at(place), tell=tell)
    return Backup(files_at(place), NAME)


def models(settings: MlSettings) -> list[tuple[Any, ...]]:
    registry = Registry(settings)
    return [
        (
            each.version,
            each.sha256,
            each.aliases,
            dict(each.metrics),
            registry.artifact(each.version, "card.md"),
        )
        for each in registry.versions()
    ]


def tables(settings: MlSettings) -> dict[tuple[str, int], pl.DataFrame]:
    """Every version of every table, sorted."""
    lake = Lake(settings.lake)
    found = {}
    for table in lake.tables():
        for version in range((lake.version(table) or 0) + 1):
            found[table, version] = _rows(lake, table, version)
    return found


def _rows(lake: Lake, table: str, version: int) -> pl.DataFrame:
    frame = lake.read(table, version=version).collect()
    return frame.sort(frame.columns[:3])


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_every_event_model_and_version_of_a_table_comes_back(
    made: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into another place, so the registry's artifacts are found there too and not where they were."""
    before = settings_of(made)
    with s3_server() as server:
        for name in NO_ACCOUNT:
            monkeypatch.delenv(name, raising=False)
        for name, value in server.variables.items():
            monkeypatch.setenv(name, value)
        at = tmp_path / "backups" if place == "folder" else f"s3://{BUCKET}/kept"
        backed_up(before, at)
        after = settings_of(tmp_path / "after")
        parts.restore(after, parts.NOTHING, Backup(files_at(at)), len)
    assert accepted(after) == accepted(before)
    assert len(accepted(after)) == 21
    shown = tables(before)
    assert len(shown) > len(Lake(before.lake).tables()), "some table has more than one version"
    back = tables(after)
    assert back.keys() == shown.keys()
    assert [key for key, frame in shown.items() if not frame.equals(back[key])] == []
    assert [each[2] for each in models(after)] == [("champion",), ("challenger",)]
    stores = [ModelStore(each.model_store) for each in (before, after)]
    assert stores[0].report(DRIFT) == stores[1].report(DRIFT)
    assert files_at(after.model_store).read("signatures/of-a-bundle") == b"signed"
    for _, sha256, *_ in models(after):
        assert stores[0].get_bundle(sha256) == stores[1].get_bundle(sha256)
        name, _ = snapshot = stores[0].newest_snapshot(sha256)
        assert snapshot == stores[1].newest_snapshot(sha256)
        assert stores[0].past(sha256, name, 1) == stores[1].past(sha256, name, 1)
    expected = models(before)
    shutil.move(made / "mlartifacts", made / "elsewhere")  # what was there before is not needed
    try:
        assert models(after) == expected
    finally:
        shutil.move(made / "elsewhere", made / "mlartifacts")
    assert not (after.state / "pseudonym.key").exists()


def test_what_is_accepted_and_read_while_it_is_made_is_neither_lost_nor_doubled(
    state: MlSettings, tmp_path: Path
) -> None:
    """After each part events come and the lake takes them; the inbox is read last, so it has what the lake has."""

    def busy(part: str) -> None:
        accept(state, f"during-{part}")
        drain(state)

    backed_up(state, tmp_path / "backups", tell=busy)
    after = settings_of(tmp_path / "after")
    parts.restore(after, parts.NOTHING, Backup(files_at(tmp_path / "backups")), len)
    drain(after)
    kept = {each.event.event_id for each in accepted(after)}
    assert kept >= {"not-yet-read", "during-registry", "during-lake"}
    in_lake = Lake(after.lake).read("events").select("event_id").collect()["event_id"].to_list()
    assert len(in_lake) == len(set(in_lake))
    assert kept <= set(in_lake)
    accept(after, "afterwards")
    drain(after)
    assert "afterwards" in Lake(after.lake).read("events").select("event_id").collect()["event_id"].to_list()


class Killed(BaseException):
    """Nobody catches it."""


class Dying(Folder):
    """Files of a process that is killed at its n-th write."""

    def __init__(self, root: Path, writes: int) -> None:
        super().__init__(root)
        self.left = writes

    def write(self, name: str, data: bytes) -> None:
        if not self.left:
            raise Killed
        self.left -= 1
        super().write(name, data)


def test_killed_at_any_write_it_is_no_backup_and_the_one_before_is_the_newest(
    state: MlSettings, tmp_path: Path
) -> None:
    at = tmp_path / "backups"
    files = len(backed_up(state, at).manifest.files)
    for writes in range(0, files + 1, max(1, files // 25)):
        with pytest.raises(Killed):
            make(state, Dying(at, writes), LATER)
        assert names(files_at(at)) == [NAME]
        assert Backup(files_at(at)).name == NAME
        with pytest.raises(Refused, match="no finished backup"):
            Backup(files_at(at), LATER)


def killed_at(command: list[str], folder: Path, files: int) -> bool:
    """Run `python -m scripts.backup`, kill it once the folder has so many files; False when it ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.backup", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and sum(path.is_file() for path in folder.rglob("*")) < files:
        time.sleep(0.0005)
    process.kill()  # SIGKILL: nothing is tidied up
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.soak)])
def test_a_process_that_is_killed_leaves_no_backup_and_a_restore_that_is_killed_is_seen(
    state: MlSettings, tmp_path: Path, kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By SIGKILL, at moments spread over the work: what is listed afterwards is whole, and comes back whole."""
    at = tmp_path / "backups"
    files = len(backed_up(state, at).manifest.files)
    for kill in range(kills):
        place = tmp_path / f"killed-{kill}"
        moment = 1 + kill * (files - 2) // max(kills - 1, 1)
        died = killed_at(["make", "--to", str(place)], place, moment)
        assert bool(names(files_at(place))) is not died, (
            "a backup that is listed came from a process that ended"
        )
        again = f"{datetime.now(UTC):%Y}1231T000000Z"
        make(state, files_at(place), again)
        backup = Backup(files_at(place))
        assert backup.name == again
        assert len([backup.read(name) for name in backup.manifest.files]) >= files
    target = tmp_path / "after"
    monkeypatch.setenv("ML_STATE", str(target))
    target.mkdir()
    assert killed_at(["restore", "--from", str(at)], target, files // 2)
    with pytest.raises(Refused, match="not empty"):
        parts.restore(settings_of(target), parts.NOTHING, Backup(files_at(at)), len)
    shutil.rmtree(target)
    parts.restore(settings_of(target), parts.NOTHING, Backup(files_at(at)), len)
    assert accepted(settings_of(target)) == accepted(state)


def test_a_copy_at_another_place_is_the_same_and_read_back_there(
    state: MlSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    backup = backed_up(state, here)
    for _ in range(2):
        assert main(["copy", "--from", str(here), "--to", str(there)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == parts.shown(backup)
    parts.restore(settings_of(tmp_path / "after"), parts.NOTHING, Backup(files_at(there)), len)
    assert tables(settings_of(tmp_path / "after")).keys() == tables(state).keys()
    (there / NAME / backup_file(backup)).write_bytes(b"other")
    assert main(["copy", "--from", str(here), "--to", str(there)]) == 1, "what lies there is read again"
    (here / NAME / backup_file(backup)).write_bytes(b"other")
    assert main(["copy", "--from", str(here), "--to", str(tmp_path / "third")]) == 1
    assert names(files_at(tmp_path / "third")) == []


def backup_file(backup: Backup) -> str:
    return next(name for name in backup.manifest.files if name.startswith("models/"))


def test_further_places_come_back_and_one_that_is_not_named_or_not_empty_is_refused(
    state: MlSettings, tmp_path: Path
) -> None:
    cards, back = tmp_path / "cards", tmp_path / "back"
    for name in ("0/run/card.md", "1/card.md"):
        (cards / name).parent.mkdir(parents=True)
        (cards / name).write_text(name)
    unfinished = Unfinished(files_at(tmp_path / "backups"), NAME)
    parts.make(state, parts.Others(places={"cards": str(cards)}), unfinished, len)
    unfinished.finish()
    backup, after = Backup(files_at(tmp_path / "backups")), settings_of(tmp_path / "after")
    with pytest.raises(Refused, match="cards"):
        parts.restore(after, parts.NOTHING, backup, len)
    with pytest.raises(Refused, match="not empty"):
        parts.restore(after, parts.Others(places={"cards": str(cards)}), backup, len)
    parts.restore(after, parts.Others(places={"cards": str(back)}), backup, len)
    assert {str(path.relative_to(back)): path.read_text() for path in back.rglob("*.md")} == {
        name: name for name in ("0/run/card.md", "1/card.md")
    }


@pytest.mark.parametrize(
    "what", ["inbox.sqlite", "lake/events/x", "models/bundles/x", "mlflow.sqlite", "mlartifacts/x"]
)
def test_a_place_that_is_not_empty_is_refused_and_left_alone(
    state: MlSettings, what: str, tmp_path: Path
) -> None:
    backup = backed_up(state, tmp_path / "backups")
    there = tmp_path / "after" / what
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    with pytest.raises(Refused, match="not empty"):
        parts.restore(settings_of(tmp_path / "after"), parts.NOTHING, backup, len)
    assert [path for path in (tmp_path / "after").rglob("*") if path.is_file()] == [there]


@pytest.mark.parametrize("part", ["registry", "artifacts", "models", "lake", "inbox"])
def test_a_changed_or_lost_file_is_found(
    state: MlSettings, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = tmp_path / "backups"
    backup = backed_up(state, at)
    assert main(["check", "--at", str(at)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tables"] == {table: Lake(state.lake).version(table) for table in Lake(state.lake).tables()}
    file = at / NAME / part / backup.manifest.of_part(part)[0]
    whole = file.read_bytes()
    for damage in (bytes([whole[0] ^ 1]) + whole[1:], None):
        file.unlink()
        if damage is not None:
            file.write_bytes(damage)
        assert main(["check", "--at", str(at)]) == 1
        assert json.loads(capsys.readouterr().out)["reason"] == "damaged"
        with pytest.raises(Refused, match="take another"):
            parts.restore(settings_of(tmp_path / f"after-{damage is None}"), parts.NOTHING, backup, len)


@pytest.fixture
def shell(state: MlSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_STATE", str(state.state))


@pytest.mark.usefixtures("shell")
def test_one_command_each_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = str(tmp_path / "backups")
    assert main(["list", "--at", at]) == 0
    assert json.loads(capsys.readouterr().out) == {"backups": []}
    assert main(["restore", "--from", at]) == 1
    assert json.loads(capsys.readouterr().out)["reason"] == "no_backup"
    assert main(["make", "--to", at]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"]["inbox"] == 1
    assert main(["restore", "--from", at]) == 1, "everything is still there"
    assert json.loads(capsys.readouterr().out)["reason"] == "not_empty"
    monkeypatch.setenv("ML_STATE", str(tmp_path / "new"))
    assert main(["restore", "--from", at]) == 0
    assert json.loads(capsys.readouterr().out) == told
    assert len(accepted(settings_of(tmp_path / "new"))) == 21


def test_a_backup_of_a_newer_release_or_with_a_database_that_is_not_named_is_refused(
    state: MlSettings, tmp_path: Path
) -> None:
    at = tmp_path / "backups"
    backed_up(state, at)
    file = at / NAME / "manifest.json"
    manifest = json.loads(file.read_text())
    file.write_text(json.dumps(manifest | {"format": 2}))
    with pytest.raises(Refused, match="newer release"):
        Backup(files_at(at))
    manifest["files"]["databases/oncall.dump"] = "0" * 64
    file.write_text(json.dumps(manifest))
    with pytest.raises(Refused, match="oncall"):
        parts.restore(settings_of(tmp_path / "after"), parts.NOTHING, Backup(files_at(at)), len)
    assert not (tmp_path / "after").exists()
