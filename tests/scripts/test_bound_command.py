"""A bound command ends with its parent, its children too, and hands its exit code on."""

import subprocess
import sys
import time
from pathlib import Path

import psutil

TREE = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
time.sleep(60)
"""


def bound(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.demo.bound_command", *command], stdin=subprocess.PIPE
    )


def test_the_exit_code_is_handed_on() -> None:
    with bound(sys.executable, "-c", "raise SystemExit(7)") as process:
        assert process.wait(timeout=20) == 7


def test_the_command_and_its_children_end_when_the_parent_lets_go(tmp_path: Path) -> None:
    process = bound(sys.executable, "-c", TREE)
    deadline = time.monotonic() + 20
    while len(tree := psutil.Process(process.pid).children(recursive=True)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.communicate(timeout=20)
    psutil.wait_procs(tree, timeout=10)
    assert not [p for p in tree if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
