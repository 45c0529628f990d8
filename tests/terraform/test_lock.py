"""The provider is the one whose hashes are committed, or nothing is checked at all."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.repository.imports import ROOT

LOCK = ".terraform.lock.hcl"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy without a lock, and a `tofu` that writes down what it was told."""
    shutil.copytree(ROOT / "terraform", tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform*"))
    shutil.copy(ROOT / "Makefile", tmp_path)
    program = tmp_path / "tofu"
    program.write_text('#!/bin/sh\necho "$@" >>told\n')
    program.chmod(0o755)
    return tmp_path


def make(checkout: Path, target: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--silent", target, f"TOFU={checkout / 'tofu'}"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def test_without_a_lock_nothing_is_fetched(checkout: Path) -> None:
    done = make(checkout, "terraform")
    assert done.returncode != 0
    assert f"terraform/{LOCK} is missing" in done.stderr
    assert "init" not in (checkout / "told").read_text()


def test_with_a_lock_only_what_it_names_is_fetched(checkout: Path) -> None:
    (checkout / "terraform" / LOCK).touch()
    done = make(checkout, "terraform")
    assert done.returncode == 0, done.stderr
    told = (checkout / "told").read_text().splitlines()
    assert [line.split()[1] for line in told] == ["fmt", "init", "validate"]
    assert "-lockfile=readonly" in told[1]


def test_the_lock_is_for_the_machines_of_ci_and_of_people(checkout: Path) -> None:
    assert make(checkout, "terraform-lock").returncode == 0
    (told,) = (checkout / "told").read_text().splitlines()
    assert "providers lock" in told
    assert "-platform=linux_amd64" in told
