"""A workflow's step ends with a "no" of its own only where the command said so, whatever else ended with 1."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.running.step import BROKEN, NO, YES, main, verdict
from tests.repository.imports import ROOT


def step(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a step does whose module is in a folder, as a process."""
    return subprocess.run(
        [sys.executable, "-m", "scripts.running.step", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (0, b'{"a": 1}\n', YES),
        (1, b'{"a": 1}\n', NO),
        (1, b"", BROKEN),
        (1, b"Traceback", BROKEN),
        (1, b'{"a": 1}\n{"b": 2}\n', BROKEN),
        (1, b"[1]", BROKEN),
        (1, b"\xff", BROKEN),
        (0, b"", BROKEN),
        (2, b"", BROKEN),
        (NO, b'{"a": 1}\n', BROKEN),
        (70, b'{"error": "away"}\n', BROKEN),
        (120, b'{"a": 1}\n', BROKEN),
        (-signal.SIGKILL, b'{"a": 1}\n', 137),
        (-signal.SIGTERM, b"", 143),
    ],
)
def test_a_word_counts_only_with_one_object(code: int, said: bytes, expected: int) -> None:
    assert verdict(code, said) == expected


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("print('{\"answer\": 1}')", YES),
        ("import sys; print('{\"answer\": 1}'); sys.exit(1)", NO),
        ("import nothing_of_this_name", BROKEN),
        ("raise BaseException('a panic of a library')", BROKEN),
        ("import sys; sys.exit('a text')", BROKEN),
        ("import os; os._exit(1)", BROKEN),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("not Python", BROKEN),
    ],
)
def test_a_command_that_ends_without_a_word_is_tried_again(
    tmp_path: Path, module: str, expected: int
) -> None:
    (tmp_path / "command.py").write_text(module)
    done = step(tmp_path, "command")
    assert done.returncode == expected
    assert (json.loads(done.stdout) == {"answer": 1}) if expected in (YES, NO) else done.stdout == ""


def test_the_commands_of_workflows_are_told_apart(tmp_path: Path) -> None:
    """A refusal of a real command, an option that it does not know, and a module that is not there."""
    state = str(tmp_path / "state")
    refused = step(tmp_path, "ml", "panel", ML_STATE=state)
    assert (refused.returncode, "error" in json.loads(refused.stdout)) == (NO, True)
    assert step(tmp_path, "ml", "panel", "--option-of-nobody").returncode == BROKEN
    assert step(tmp_path, "module_of_nobody").returncode == BROKEN
    assert step(tmp_path, "ml", "panel", PYTHONHOME=str(tmp_path)).returncode != NO, "Python does not start"


def test_the_arguments_arrive_and_an_end_from_outside_is_handed_on(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(
        "import sys, time; print(sys.argv[1:], file=sys.stderr); time.sleep(60)"
    )
    command = [sys.executable, "-m", "scripts.running.step", "waits", "--share=1/2", "x"]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "['--share=1/2', 'x']\n"
        began = time.monotonic()
        process.terminate()
        assert process.wait() == 143
        assert time.monotonic() - began < 30


def test_help_tells_the_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == YES
    assert f"{NO}      no" in capsys.readouterr().err
    assert main([]) == BROKEN
