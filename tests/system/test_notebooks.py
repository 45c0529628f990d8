"""The notebooks run from their first line to their last, and say what they said when they were written."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.repository.imports import ROOT

pytestmark = pytest.mark.system

FOLDER = ROOT / "notebooks"
RUNNER = ROOT / ".venv" / "notebooks" / "bin" / "jupyter-execute"
BOUNDS: dict[str, dict[str, tuple[float, float]]] = {
    "demand": {
        "peak_over_mean": (1.1, 4),
        "products_with_half_the_units": (0.01, 0.45),
        "irregular_share": (0, 1),
    },
    "errors": {"pinball_over_naive": (0.4, 0.97), "wape": (0.1, 0.7), "coverage_80": (0.7, 0.9)},
}
"""Of any shop; on the same data the numbers are those in the repository."""
MOST_BYTES = 150_000


def headline(notebook: Path) -> dict[str, Any]:
    """The JSON that its last cell printed."""
    cells = json.loads(notebook.read_text())["cells"]
    (output,) = cells[-1]["outputs"]
    told: dict[str, Any] = json.loads("".join(output["text"]))
    return told


def executed(name: str, folder: Path) -> dict[str, Any]:
    """What a copy says, run in a kernel of the notebooks' own libraries."""
    copy = folder / "checkout" / "notebooks"
    copy.mkdir(parents=True)
    for file in (FOLDER / "retail.py", FOLDER / f"{name}.ipynb"):
        shutil.copy(file, copy)
    if (ROOT.parent / "shared").exists():
        (folder / "shared").symlink_to(ROOT.parent / "shared")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "ML_STATE": str(folder / "state"),
    }
    command = [str(RUNNER), "--inplace", f"{name}.ipynb"]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return headline(copy / f"{name}.ipynb")


@pytest.mark.parametrize("name", BOUNDS)
def test_a_notebook_runs_and_says_what_it_said(name: str, tmp_path: Path) -> None:
    said, now = headline(FOLDER / f"{name}.ipynb"), executed(name, tmp_path)
    for key, (low, high) in BOUNDS[name].items():
        assert low <= now[key] <= high, key
    if now.pop("data") == said.pop("data"):
        assert now == pytest.approx(said, rel=0.02)


@pytest.mark.parametrize("name", BOUNDS)
def test_a_notebook_is_kept_run_whole_and_small(name: str) -> None:
    file = FOLDER / f"{name}.ipynb"
    cells = [cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    assert file.stat().st_size < MOST_BYTES
    assert "/home/" not in file.read_text()
