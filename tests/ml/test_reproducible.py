"""The same data and the same code give the same model, byte for byte, wherever the checkout lies."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml.settings import MlSettings

ROOT = Path(__file__).parents[2]
PIPELINE = """
import sys
from ml.__main__ import main
assert main(["synthesize", "--out", "events", "--products", "40", "--months", "14", "--seed", sys.argv[1]]) == 0
assert main(["ingest", "--events", "events"]) == 0
assert main(["panel"]) == 0
assert sys.argv[2] == "panel" or main(["train"]) in {0, 1}
"""


def report(checkout: Path, step: str, seed: int = 7) -> dict[str, Any]:
    """What a step of the pipeline reports in a checkout of its own."""
    shutil.copytree(ROOT / "ml", checkout / "ml", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "ML_CODE_COMMIT": "the-same", "ML_LOG_LEVEL": "error"}
    environment.pop("ML_STATE", None)
    done = subprocess.run(
        [sys.executable, "-c", PIPELINE, str(seed), step],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_two_checkouts_give_the_same_model_and_other_data_another_version(
    tmp_path: Path, new_state: Callable[[Path], MlSettings]
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "some" / "where else"
    for checkout in (here, elsewhere):
        new_state(checkout / ".state")
    first, second = report(here, "train"), report(elsewhere, "train")
    assert first["data_version"] == second["data_version"]
    assert first["sha256"] == second["sha256"]
    assert report(tmp_path / "other", "panel", seed=8)["data_version"] != first["data_version"]
