"""The deployment log is read part by part, and is the same as if it had been read at once."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from apps.console import git_history
from apps.console.deployments import History
from apps.console.git_history import GitHistory
from apps.console.kept import Memory
from apps.console.settings import ConsoleSettings
from tests.apps.client import Client
from tests.apps.console.repository import FIRST, Forge, evidence, release
from tests.apps.console.signed_in import signed_in
from tests.apps.console.test_console import PATIENT_SECONDS, settings

PROMOTIONS = 23
BACK_AFTER = 17


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    """One model after the other; the seventeenth is taken back, which an unreadable file follows."""
    forge = Forge(tmp_path / "repository.git")
    forge.release("local: first release", FIRST)
    for number in range(1, PROMOTIONS + 1):
        paper = {f"evidence/{number}-9c0d7e2.json": evidence("mix", requested_by=f"ada{number}")}
        forge.release(f"local: model {number}", release(number), paper)
        if number == BACK_AFTER:
            forge.release("back", release(number - 1), dict.fromkeys(paper))
            forge.commit("by hand", {"release.yaml": "data: ["})
    return forge


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_history, "FIRST_PART", 5)
    monkeypatch.setattr(git_history, "NEXT_PART", 4)


class Counted(GitHistory):
    """Counts the commits that were read."""

    commits = 0

    def _selected(self, *selection: str, most: int | None = None) -> git_history._Part:
        part = super()._selected(*selection, most=most)
        self.commits += len(part.commits)
        return part


def reader(forge: Forge) -> Counted:
    return Counted(
        ConsoleSettings(repository=forge.path, environment="local", timeout_seconds=60),
        Memory(PATIENT_SECONDS),
    )


def read(git: GitHistory) -> History:
    return git._current().history


def read_on(git: GitHistory) -> History:
    """What `keep` does, one part after the other."""
    while (oldest := git._read.oldest) is not None:
        git._append(oldest, git._part(oldest))
    return read(git)


def told(history: History) -> list[tuple[object, ...]]:
    return [
        (each.commit, each.release, each.before, each.is_rollback, each.requested_by)
        for each in history.deployments
    ]


def test_parts_are_the_whole(forge: Forge, small_parts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    git = reader(forge)
    newest = read(git)
    assert (len(newest.deployments), newest.is_whole) == (4, False), "the fifth only says what was replaced"
    whole = read_on(git)
    assert (len(whole.deployments), whole.is_whole) == (PROMOTIONS + 2, True)
    assert told(newest) == told(whole)[:4]
    monkeypatch.setattr(git_history, "FIRST_PART", 1_000)
    assert told(read(reader(forge))) == told(whole)
    assert [each.release.model_version for each in whole.deployments if each.is_rollback] == [BACK_AFTER - 1]
    assert whole.deployments[-1].before is None
    assert [name for name, _ in whole.models][:2] == ["23-9c0d7e2", "22-9c0d7e2"]


def test_only_what_is_new_is_read_when_the_trunk_moves(forge: Forge, small_parts: None) -> None:
    git = reader(forge)
    read(git)
    before = read_on(git)
    seen = git.commits
    forge.release("local: model 24", release(24))
    after = read(git)
    assert git.commits == seen + 1
    assert told(after)[1:] == told(before)
    assert after.live is not None
    assert after.live.before == before.deployments[0].release
    assert after.is_whole


def test_a_trunk_that_was_written_anew_is_read_anew(forge: Forge, small_parts: None) -> None:
    git = reader(forge)
    read(git)
    read_on(git)
    command = ["git", "--git-dir", str(forge.path), "update-ref", "refs/heads/main", "refs/heads/main~3"]
    subprocess.run(command, check=True)
    forge.release("local: model 30", release(30))
    assert [each.release.model_version for each in read(git).deployments][:2] == [30, 20]
    stale = git_history._Part()
    git._append("0" * 40, stale)
    assert [each.release.model_version for each in read_on(git).deployments][:3] == [30, 20, 19]


@contextmanager
def console(forge: Forge) -> Iterator[Client]:
    with signed_in(settings(forge.path)) as client:
        yield client


def test_the_timeline_reaches_the_first_release_while_older_ones_are_read_beside_the_pages(
    forge: Forge, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_history, "_LOOKS_SECONDS", 0.05)
    with console(forge) as client:
        end = time.monotonic() + 30
        while "still being read" in (page := client.get("/releases").text):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert "first entry" in page
        assert page.count("What it changed") == PROMOTIONS + 2


def test_what_is_not_read_yet_is_said(
    forge: Forge, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_history, "_LOOKS_SECONDS", 60)
    with console(forge) as client:
        page = client.get("/releases").text
    assert "Older releases are still being read." in page
    assert "first entry" not in page
