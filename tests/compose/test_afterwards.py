"""What a test promises to tidy up is tidied up, however the test ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compose.afterwards import afterwards
from tests.repository.imports import ROOT

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from tests.compose.afterwards import afterwards
with afterwards(["touch", "tidied"], Path(sys.argv[1]), {}) as held:
    subprocess.Popen(["sh", "-c", "sleep 0.5; touch child-ended"], cwd=sys.argv[1], pass_fds=[held])
    print("in the block", flush=True)
    time.sleep(60)
"""


def appears(path: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.exists()


def test_a_block_that_ends_is_tidied_up_behind(tmp_path: Path) -> None:
    with afterwards(["touch", "tidied"], tmp_path, {}):
        assert not (tmp_path / "tidied").exists()
    assert (tmp_path / "tidied").exists()


@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_so_is_one_that_is_killed_once_its_child_has_ended(
    tmp_path: Path, kill: Callable[[int, int], None]
) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, process_group=0) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "in the block\n"
        assert not (tmp_path / "tidied").exists()
        kill(holder.pid, signal.SIGKILL)
    assert appears(tmp_path / "tidied", 20)
    assert (tmp_path / "child-ended").exists() == (kill is os.kill), "the child is of the group too"


def test_one_that_could_not_be_tidied_up_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError), afterwards(["false"], tmp_path, {}):
        pass
