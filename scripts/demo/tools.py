"""The commands that the demo runs, each the one a person would type, and the environment of each service."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import httpx

from ml.settings import MlSettings
from scripts import promote, replay_events
from scripts.demo.story import Failed, Story
from scripts.forges.local import LocalForge
from scripts.release_file import Release, parse, path_of
from scripts.replay_events import KEY_VARIABLE

ROOT = Path(__file__).parents[2]
ENVIRONMENT = "local"
CONSOLE_USER = "demo"
PAGE = 500
INTERRUPTED = 130
MLFLOW_SECONDS = 90.0


class Tools:
    """Runs `python -m ml`, `python -m scripts.promote` and git against one state folder.

    The command lines run in this process: their libraries take seconds to import, once is enough.
    """

    def __init__(self, state: Path, at: Mapping[str, int], story: Story) -> None:
        self.state, self.ports, self.story = state, at, story
        self.settings = MlSettings(state=state)
        self.forge = state / "forge.git"
        self.console_users = state / "console-users.jsonl"
        self._mlflow: subprocess.Popen[bytes] | None = None

    def console_user(self) -> str | None:
        """The password of a new user of the console, who may roll back; None where there is one already."""
        if self.console_users.exists():
            return None
        command = [
            sys.executable,
            "-m",
            "apps.console",
            "user",
            "--name",
            CONSOLE_USER,
            "--role",
            "controller",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"no user for the console: {done.stderr.strip()}")
        made = json.loads(done.stdout)
        self.console_users.touch(mode=0o600, exist_ok=False)
        self.console_users.write_text(f"{made['line']}\n")
        return str(made["password"])

    def prepare(self) -> None:
        """The environment that the command lines read."""
        os.environ |= {"ML_STATE": str(self.state), "ML_LOG_LEVEL": "warning", KEY_VARIABLE: self.key()}

    def ml(self, verb: str, *arguments: str, ok: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """The JSON that a verb of `python -m ml` prints."""
        from ml.__main__ import main  # noqa: PLC0415 - after `prepare`

        return self._run("ml", main, [verb, *arguments], ok)

    def replay(self, events: Path, newest: int, collector: str, named: list[str]) -> dict[str, Any]:
        """What `python -m scripts.replay_events` says of the newest events of a file."""
        options = ["--events", str(events), "--newest", str(newest), "--collector", collector, *named]
        return self._run("scripts.replay_events", replay_events.main, options, (0,))

    def promote(self, verb: str, *arguments: str, ok: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """The JSON that a verb of `python -m scripts.promote` prints."""
        fixed = ["--repository", str(self.forge), "--environment", ENVIRONMENT, "--requested-by", "demo"]
        return self._run("scripts.promote", promote.main, [verb, *fixed, *arguments], ok)

    def test_page(self, oncall: str) -> int:
        """The incident that `python -m apps.oncall test-page` opened."""
        words = ["-m", "apps.oncall", "test-page", "--url", oncall]
        self.story.command([".venv/bin/python", *words])
        environment = {**os.environ, "ONCALL_ALERT_TOKEN": self.key()}
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Failed(f"the alarm was not taken: {done.stdout or done.stderr}")
        return int(json.loads(done.stdout)["incident"])

    def pull_request_text(self, number: int) -> Path:
        """A file with what the approver reads."""
        path = self.state / "pull-requests" / f"{number}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(LocalForge(self.forge, "demo").get(number).body)
        return path

    def new_forge(self) -> None:
        """A forge that has released nothing yet; the champion alias follows it."""
        shutil.rmtree(self.forge, ignore_errors=True)
        LocalForge.create(self.forge, ROOT, "demo")

    def read_release(self) -> Release:
        """The merged release."""
        return parse(self._git(self.forge, "show", f"main:{path_of(ENVIRONMENT)}").encode())

    def git_revert(self) -> str:
        """Revert the newest commit of main as a person would: clone, `git revert`, push. The new commit's id."""
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder) / "clone"
            self._git(Path(folder), "clone", "--quiet", str(self.forge), str(clone))
            identity = ("-c", "user.name=on-call", "-c", "user.email=on-call@example.invalid")
            self._git(clone, *identity, "revert", "--no-edit", "HEAD")
            self._git(clone, "push", "--quiet", "origin", "HEAD:main")
            return self._git(clone, "rev-parse", "HEAD")

    def image_tag(self) -> str:
        """What an image of this checkout would be called: its commit, or `local` outside a repository."""
        try:
            return self._git(ROOT, "rev-parse", "--short=12", "HEAD")
        except Failed:
            return "local"

    def active_products(self, client: httpx.Client, forecast: str) -> list[str]:
        """Every product that the forecast service answers for, page by page."""
        return [answer["product_id"] for answer in self._pages(client, f"{forecast}/forecast")]

    def key(self) -> str:
        """The services' API key; made once, readable by its owner only."""
        path = self.state / "api.key"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24))
        return path.read_text()

    def start_mlflow(self) -> None:
        """MLflow's own pages on the registry; they end with this process."""
        command = [
            *(sys.executable, "-m", "scripts.demo.bound_command", sys.executable, "-m", "mlflow", "server"),
            *("--workers", "1", "--host", "127.0.0.1", "--port", str(self.ports["mlflow"])),
            *("--backend-store-uri", self.settings.tracking_uri),
            *("--default-artifact-root", str(self.settings.artifacts)),
        ]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.state / "logs" / "mlflow.log").open("ab") as log:
            self._mlflow = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log
            )

    def wait_for_mlflow(self) -> None:
        """Return when MLflow's pages can be opened."""
        deadline = time.monotonic() + MLFLOW_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.ports['mlflow']}/health").is_success:
                    return
            time.sleep(0.2)
        raise Failed(f"MLflow does not answer; {self.state / 'logs' / 'mlflow.log'} says why")

    def stop(self) -> None:
        """Stop MLflow when it runs."""
        if self._mlflow is not None:
            self._mlflow.communicate()

    def import_options(self, options: argparse.Namespace) -> list[str]:
        """The options of `python -m ml ingest --events`."""
        zone = options.timezone or self.settings.shop_zone
        named = [("--timezone", zone), ("--currency", options.currency)]
        given = [part for name, value in named if value for part in (name, value)]
        given += [part for value in options.map for part in ("--map", value)]
        return given + [part for value in options.allow for part in ("--allow", value)]

    def _pages(self, client: httpx.Client, url: str) -> Iterator[dict[str, Any]]:
        parameters: dict[str, str] = {"limit": str(PAGE)}
        while True:
            answer = client.get(url, params=parameters)
            answer.raise_for_status()
            page = answer.json()
            yield from page["forecasts"]
            if page["next_cursor"] is None:
                return
            parameters["cursor"] = page["next_cursor"]

    def _run(
        self, module: str, main: Callable[[list[str]], int], arguments: list[str], ok: tuple[int, ...]
    ) -> dict[str, Any]:
        printed = io.StringIO()
        self.story.command([".venv/bin/python", "-m", module, *map(shown, arguments)])
        with contextlib.redirect_stdout(printed):
            code = main(arguments)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        lines = printed.getvalue().splitlines()
        answer = json.loads(lines[-1]) if lines else {}
        if code not in ok:
            raise Failed(
                answer.get("error") or f"`python -m {module} {arguments[0]}` ended with {code}: {answer}"
            )
        told: dict[str, Any] = answer
        return told

    def _git(self, where: Path, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=where, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"git {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")


def shown(argument: str) -> str:
    """A path as it is typed in the checkout."""
    return argument.removeprefix(f"{ROOT}/")


def months_between(first: str, last: str) -> list[str]:
    """Every month from first to last, as YYYY-MM."""
    start, end = (date.fromisoformat(f"{month}-01") for month in (first, last))
    count = (end.year - start.year) * 12 + end.month - start.month + 1
    return [
        f"{start.year + (start.month - 1 + i) // 12:04d}-{(start.month - 1 + i) % 12 + 1:02d}"
        for i in range(count)
    ]
