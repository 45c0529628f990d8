"""The workflows of `.github`, and their shell steps as a runner would run them."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.repository.imports import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yaml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yaml"))

Document = dict[str, Any]


def load(path: Path) -> Document:
    """A workflow or action; YAML takes the key `on` for a yes, so it is put right."""
    document: dict[Any, Any] = yaml.safe_load(path.read_text())
    return {"on" if key is True else str(key): value for key, value in document.items()}


@dataclass(frozen=True)
class Step:
    """A step with what it inherits.

    Attributes:
        file: `check` for `.github/workflows/check.yaml`.
        job: None in an action.
        env: Names of all variables that it is given.
    """

    file: str
    job: str | None
    content: Document
    env: Mapping[str, str]

    @property
    def script(self) -> str:
        return str(self.content.get("run", ""))

    def run(
        self, folder: Path, variables: Mapping[str, str], programs: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the script as `shell: bash` does; a variable that neither the step nor a runner sets is an error.

        Args:
            folder: The checkout; what a runner collects is in the files `output` and `summary` beside it.
            variables: Values of the step's variables; those not named are empty, as on a runner.
            programs: A folder that comes first on the PATH.
        """
        unknown = set(variables) - set(self.env)
        assert not unknown, f"the step has no variable {unknown}"
        place = folder.parent
        given = {
            "PATH": os.pathsep.join([*([str(programs)] if programs else []), os.environ["PATH"]]),
            "HOME": str(place),
            "GITHUB_OUTPUT": str(place / "output"),
            "GITHUB_STEP_SUMMARY": str(place / "summary"),
            "GITHUB_SHA": _head(folder),
            "RUNNER_TEMP": str(place),
            **dict.fromkeys(self.env, ""),
            **variables,
        }
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", self.script],
            cwd=folder,
            env=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@cache
def steps() -> tuple[Step, ...]:
    """Every step of every workflow and action."""
    return tuple(_steps())


def _steps() -> Iterator[Step]:
    for path in WORKFLOWS:
        workflow = load(path)
        for name, job in workflow["jobs"].items():
            for step in job["steps"]:
                env = {**workflow.get("env", {}), **job.get("env", {}), **step.get("env", {})}
                yield Step(path.stem, name, step, env)
    for path in ACTIONS:
        for step in load(path)["runs"]["steps"]:
            env = {**_given_to_action(path.parent.name), **step.get("env", {})}
            yield Step(path.parent.name, None, step, env)


def step(file: str, job: str | None, part: str) -> Step:
    """The one shell step of a job whose script holds this text."""
    (found,) = (each for each in steps() if (each.file, each.job) == (file, job) and part in each.script)
    return found


def _given_to_action(name: str) -> dict[str, str]:
    """The variables that every caller of an action gives it."""
    callers = [
        {**workflow.get("env", {}), **job.get("env", {}), **step.get("env", {})}
        for workflow in map(load, WORKFLOWS)
        for job in workflow["jobs"].values()
        for step in job["steps"]
        if step.get("uses", "").endswith(f"/{name}")
    ]
    return {key: value for key, value in callers[0].items() if all(key in each for each in callers)}


def _head(folder: Path) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""
