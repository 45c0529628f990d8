"""The code of the last release, run as it was; see docs/schema-changes.md for how the archive is made."""

import atexit
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from zipfile import ZipFile

ARCHIVE = Path(__file__).parent / "golden" / "release_1.zip"

_PROLOGUE = """
import json, sys
import ml
assert ml.__file__.startswith({folder!r}), ml.__file__
arguments = json.loads(sys.stdin.read())
def say(answer): print(json.dumps(answer))
"""


@cache
def _unpacked() -> str:
    """A folder with the archive's code, where it is compiled only once."""
    folder = mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


def previous(script: str, **arguments: str) -> Any:
    """What `say(...)` was given in a script that runs on the last release's `ml`, with `arguments` by name."""
    folder = _unpacked()
    done = subprocess.run(
        [sys.executable, "-P", "-c", _PROLOGUE.format(folder=folder) + script],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": folder, "OMP_NUM_THREADS": "1"},
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def _names() -> list[str]:
    with ZipFile(ARCHIVE) as archive:
        return archive.namelist()


def released_migrations() -> set[str]:
    """Names of the migrations in the last release."""
    folder = "ml/migrations/versions/"
    return {
        Path(name).stem
        for name in _names()
        if name.startswith(folder) and name.endswith(".py") and not name.endswith("__init__.py")
    }
