"""The code's commit: told by the image, else asked of Git, else unknown."""

import subprocess
from pathlib import Path

import pytest

from ml.code_commit import code_commit


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit of `ml/a.py`."""
    monkeypatch.delenv("ML_CODE_COMMIT", raising=False)
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "a.py").write_text("")
    who = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    return tmp_path / "ml"


def head(tree: Path) -> str:
    done = subprocess.run(
        ["git", "-C", str(tree), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_it_is_gits_head(tree: Path) -> None:
    assert code_commit(tree) == head(tree)


def test_a_change_in_the_package_shows_and_one_elsewhere_does_not(tree: Path) -> None:
    (tree.parent / "notes.txt").write_text("not code of this package")
    assert code_commit(tree) == head(tree)
    (tree / "a.py").write_text("changed = True")
    assert code_commit(tree) == f"{head(tree)}+modified"


def test_an_image_says_it_by_a_variable(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_CODE_COMMIT", "9c0d7e2")
    assert code_commit(tree) == "9c0d7e2"


def test_outside_a_repository_or_without_git_it_is_unknown(
    tree: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code_commit(tmp_path_factory.mktemp("elsewhere")) == "unknown"
    monkeypatch.setenv("PATH", "")
    assert code_commit(tree) == "unknown"
