"""Steps of the workflows as processes of this machine: their exact commands on a real lake, registry and repository."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from ml.lake import Lake
from ml.registry import Registry
from ml.settings import MlSettings
from scripts.forges.local import LocalForge
from scripts.history.git import Git
from scripts.running.step import BROKEN
from tests.environments.test_workflows import argv
from tests.repository.imports import ROOT

SHARES: Final = "2"
_TIMES: Final = {"as_of", "checks", "created_at"}
"""When a run wrote a row, and what it said of how fresh the data was then; all else is the same in every run."""

_LOGS: Final = {"quality_reports"}
"""Each judgement of the data is of its hour and is added, also where it says what the one before it said."""

_TRUTH: Final = {"audit-production", "confirm-production", "confirm-staging"}
"""Steps of `truth`; all others are of `retrain`."""

_ARGO: Final = "scripts.running.step"

Step = tuple[str, str]
"""Name of a template, and the share that it takes where it has one."""


@dataclass(frozen=True)
class Place:
    """State in one folder, which is kept and brought back as a whole: a registry's paths do not move."""

    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "now" / "state"

    @property
    def forge(self) -> Path:
        return self.folder / "now" / "forge.git"

    @property
    def workflows(self) -> Path:
        """A file for each workflow that was made, by its name."""
        return self.folder / "now" / "workflows"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def variables(self) -> dict[str, str]:
        """Of a step's process; what a loaded machine needs of time is no matter here, nor a commit made meanwhile."""
        return {
            **os.environ,
            "ML_STATE": str(self.state),
            "ML_PSEUDONYM_KEY": "a-pseudonym-key-for-the-tests-only",
            "ML_CODE_COMMIT": "0" * 40,
            "ML_GATE_SCORE_P95_SECONDS": "60",
            "ML_GATE_FIT_SECONDS": "6000",
            "OMP_NUM_THREADS": "1",
            "KUBECONFIG": str(self.kubeconfig),
            "PROMOTE_FORGE": "local",
            "PROMOTE_REPOSITORY": str(self.forge),
        }

    def keep(self, name: str) -> None:
        """Put what is here now aside."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.folder / "now", self.folder / name)

    def bring_back(self, name: str) -> None:
        """What was put aside is here again."""
        shutil.rmtree(self.folder / "now")
        shutil.copytree(self.folder / name, self.folder / "now")

    def command(self, step: Step) -> list[str]:
        """What a step runs, with the forge of this machine in place of the one of the network."""
        name, share = step
        given = {
            "share": share,
            "shares": SHARES,
            "events": str(self.folder / "events"),
            "propose_images": "abc1234",
        }
        module, arguments = argv(("truth" if name in _TRUTH else "retrain", name), **given)
        own = [
            f"--repository={self.forge}" if each.startswith("--repository=") else each for each in arguments
        ]
        return [sys.executable, "-m", _ARGO, module, *(each for each in own if each != "--forge=github")]

    def started(self, step: Step) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(step),
            cwd=ROOT,
            env=self.variables,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, step: Step, *codes: int) -> float:
        """Run a step to its end; how many seconds it took."""
        began = time.monotonic()
        self.said(step, *codes)
        return time.monotonic() - began

    def said(self, step: Step, *codes: int) -> str:
        """What a step that is run to its end writes to its stdout."""
        return self._said(step, codes, attempts=1)

    def at_once(self, step: Step, *codes: int) -> None:
        """Run a step in two processes, as two workflows without their mutex; one that gave way is tried again."""
        with ThreadPoolExecutor(2) as pool:
            ended = [pool.submit(self._said, step, codes, attempts=3) for _ in range(2)]
        for each in ended:
            each.result()

    def _said(self, step: Step, codes: tuple[int, ...], attempts: int) -> str:
        for _ in range(attempts):
            process = self.started(step)
            said, logged = process.communicate(timeout=900)
            if process.returncode != BROKEN:
                break
        assert process.returncode in (codes or (0,)), f"{step}: {process.returncode} {said} {logged[-2000:]}"
        return said

    def killed(self, step: Step, after_seconds: float) -> bool:
        """Whether SIGKILL to a step and its children came before its end."""
        process = self.started(step)
        time.sleep(after_seconds)
        before = process.poll() is None
        os.killpg(process.pid, signal.SIGKILL) if before else None
        process.communicate()
        return before

    def digest(self) -> dict[str, Any]:
        """Content of the lake, the registry, the model store and the repository, without times and paths."""
        settings = MlSettings(state=self.state)
        lake = Lake(settings.lake)
        versions = Registry(settings).versions() if (self.state / "mlflow.sqlite").exists() else []
        return {
            **{f"lake: {table}": _rows(lake.read(table), log=table in _LOGS) for table in lake.tables()},
            "registry": [(each.version, each.sha256, each.data_version, each.aliases) for each in versions],
            "store": sorted(_stored(self.state / "models")),
            "forge": _proposals(self.forge) if self.forge.is_dir() else [],
            "workflows": sorted((path.name, path.read_text()) for path in self.workflows.glob("*")),
        }


def _rows(frame: pl.LazyFrame, *, log: bool) -> tuple[int, str]:
    """How many rows, and a digest of them in whatever order they lie; of a log, of those that differ."""
    kept = [name for name in frame.collect_schema().names() if name not in _TIMES]
    rows = sorted(
        hashlib.sha256(repr(row).encode()).hexdigest() for row in frame.select(kept).collect().iter_rows()
    )
    rows = sorted(set(rows)) if log else rows
    return len(rows), hashlib.sha256("".join(rows).encode()).hexdigest()


def _stored(folder: Path) -> list[tuple[str, str]]:
    """Names of all objects; content too of models, whose bytes hold no time."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if not path.name.startswith(".") and path.suffix == ".partial"]
    return [
        (
            str(path.relative_to(folder)),
            hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix == ".tar" else "",
        )
        for path in files
        if not path.name.startswith(".")
    ]


def _proposals(folder: Path) -> list[tuple[Any, ...]]:
    """Every pull request, and the tree that its branch proposes."""
    forge, git = LocalForge(folder, "promoter"), Git(folder)
    return [
        (
            each.number,
            each.title,
            each.branch,
            each.state,
            git.text("rev-parse", f"{each.head}:environments/staging/release.yaml"),
        )
        for each in forge.pull_requests("")
    ]
