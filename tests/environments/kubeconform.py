"""Asks kubeconform, strictly and with the schemas that `make tools` wrote; nothing is downloaded."""

import subprocess

from scripts.schemas import FOLDER, LOCATION
from tests.repository.imports import ROOT


def faults(text: str) -> str:
    """What kubeconform says against a YAML stream, empty when every object was checked and is right."""
    tool = ROOT / ".bin" / "kubeconform"
    assert tool.is_file(), "run `make tools`"
    assert FOLDER.is_dir(), "run `make tools`"
    done = subprocess.run(
        [str(tool), "-strict", "-summary", "-schema-location", f"{FOLDER}/{LOCATION}", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    right = done.returncode == 0 and "Skipped: 0" in done.stdout and "Valid: 0," not in done.stdout
    return "" if right else done.stdout + done.stderr
