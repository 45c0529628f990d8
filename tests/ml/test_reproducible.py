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
if sys.argv[2] == "train":
    assert main(["quality", "--as-of", "newest"]) == 0
    assert main(["train"]) in {0, 1}
"""


FORECAST = """
import sys
from ml.features import category_totals
from ml.models.blend import Blend
from tests.ml.small_history import small_shop
shop = small_shop(products=16, months=9)
made = Blend.from_state(Blend.fit(shop, 3).state()).predict(shop, category_totals(shop))
sys.stdout.write(made.mean.tobytes().hex() + made.levels.tobytes().hex())
"""


def report(checkout: Path, step: str, seed: int = 7, threads: int = 1) -> dict[str, Any]:
    """What a step of the pipeline reports in a checkout of its own, with names hashed by the number of threads."""
    shutil.copytree(ROOT / "ml", checkout / "ml", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**elsewhere(threads), "ML_CODE_COMMIT": "the-same", "ML_LOG_LEVEL": "error"}
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


def elsewhere(threads: int) -> dict[str, str]:
    """The variables of a process whose sets are in another order and whose libraries may use more threads."""
    return {**os.environ, "PYTHONHASHSEED": str(threads), "OMP_NUM_THREADS": str(threads)}


def test_forecasts_have_the_same_bits_in_other_processes() -> None:
    """Fitting all members twice takes some seconds; nothing less shows what threads do to them."""
    first, second = (
        subprocess.run([sys.executable, "-c", FORECAST], env=elsewhere(n), stdout=subprocess.PIPE, check=True)
        for n in (1, 4)
    )
    assert first.stdout == second.stdout
    assert len(first.stdout) == 16 * 9 * 16  # 16 products, mean and 8 quantiles, 16 digits each


def test_two_checkouts_give_the_same_model_and_other_data_another_version(
    tmp_path: Path, new_state: Callable[[Path], MlSettings]
) -> None:
    here, there = tmp_path / "here", tmp_path / "some" / "where else"
    for checkout in (here, there):
        new_state(checkout / ".state")
    first, second = report(here, "train"), report(there, "train", threads=2)
    assert first["data_version"] == second["data_version"]
    assert first["sha256"] == second["sha256"]
    assert report(tmp_path / "other", "panel", seed=8)["data_version"] != first["data_version"]
