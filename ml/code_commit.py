"""Which code runs: part of what a model is made from."""

import os
import subprocess
from pathlib import Path
from typing import Final

VARIABLE: Final = "ML_CODE_COMMIT"
UNKNOWN: Final = "unknown"
MODIFIED: Final = "+modified"


def code_commit(source: Path | None = None) -> str:
    """The commit of the code: the variable that an image sets, else what Git says of the source tree.

    A tree whose `ml` differs from its commit ends in `+modified`; without Git it is "unknown".

    Args:
        source: A folder in the tree; by default the one that holds this package.
    """
    if given := os.environ.get(VARIABLE):
        return given
    folder = source or Path(__file__).resolve().parent
    head = _git(folder, "rev-parse", "HEAD")
    if head is None:
        return UNKNOWN
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{head}{MODIFIED}" if changed else head


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
