"""The runner follows a release without refusing a connection, and keeps what works when a release does not."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from scripts.demo import local_services
from scripts.demo.local_services import LocalServices, NotReady, Service
from scripts.release_file import Release
from tests.scripts.free_port import free_port
from tests.scripts.tiny_service import BROKEN_SHA256

FIRST = Release(image_tag="abc", model_version=1, model_sha256="a" * 64)
SECOND = Release(image_tag="abc", model_version=2, model_sha256="b" * 64)
BROKEN = Release(image_tag="abc", model_version=3, model_sha256=BROKEN_SHA256)
NONE = Release(image_tag="unreleased", model_version=0, model_sha256="0" * 64)


class Shop:
    """One service that follows `release`, and one that needs none."""

    def __init__(self, folder: Path) -> None:
        self.release = NONE
        self.runner = LocalServices(
            [
                Service("plain", "tests.scripts.tiny_service", free_port()),
                Service("forecast", "tests.scripts.tiny_service", free_port(), {}, self._variables),
            ],
            lambda: self.release,
            folder,
        )

    @staticmethod
    def _variables(release: Release) -> dict[str, str]:
        return {
            "TINY_MODEL_VERSION": str(release.model_version),
            "TINY_MODEL_SHA256": release.model_sha256,
            "TINY_IMAGE_TAG": release.image_tag,
        }

    def ask(self, service: str = "forecast") -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.runner.url(service)}/model-info", timeout=5) as answer:
            return dict(json.load(answer))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    try:
        made.runner.start()
        yield made
    finally:
        made.runner.stop()


def test_a_service_without_a_release_runs_and_one_with_waits_for_its_model(shop: Shop) -> None:
    assert set(shop.runner.pids()) == {"plain"}
    shop.release = FIRST
    assert shop.runner.wait_for(FIRST) < 30
    assert shop.ask()["model_version"] == "1"


def test_a_new_release_is_served_and_a_revert_brings_the_old_one_back(shop: Shop) -> None:
    for release in (FIRST, SECOND, FIRST):
        shop.release = release
        shop.runner.wait_for(release)
        assert shop.ask()["model_sha256"] == release.model_sha256


def test_no_request_fails_while_releases_change(shop: Shop) -> None:
    shop.release = FIRST
    shop.runner.wait_for(FIRST)
    done, failures, served = threading.Event(), [], []

    def keep_asking() -> None:
        while not done.is_set():
            try:
                served.append(shop.ask()["model_version"])
            except (OSError, HTTPException, ValueError) as error:
                failures.append(error)

    asker = threading.Thread(target=keep_asking)
    asker.start()
    shop.release = SECOND
    shop.runner.wait_for(SECOND)
    deadline = time.monotonic() + 20
    while "2" not in served and time.monotonic() < deadline:
        time.sleep(0.05)
    done.set()
    asker.join()
    assert set(served) == {"1", "2"}
    # The tiny service drops a request that it is answering when it is stopped; the port itself is never refused.
    assert not [f for f in failures if "refused" in str(f).lower()]


def test_a_release_that_does_not_load_is_named_and_the_old_one_keeps_serving(shop: Shop) -> None:
    shop.release = FIRST
    shop.runner.wait_for(FIRST)
    before = shop.ask()
    shop.release = BROKEN
    with pytest.raises(NotReady, match="its model is broken"):
        shop.runner.wait_for(BROKEN)
    assert shop.ask() == before
    shop.release = SECOND
    shop.runner.wait_for(SECOND)
    assert shop.ask()["model_version"] == "2"


def test_a_killed_service_comes_back(shop: Shop) -> None:
    first = shop.runner.pids()["plain"]
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while shop.runner.pids().get("plain") in {None, first} and time.monotonic() < deadline:
        time.sleep(0.05)
    assert shop.ask("plain")["pid"] == shop.runner.pids()["plain"] != first


def test_an_unreadable_release_is_reported_and_changes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.release = FIRST
    shop.runner.wait_for(FIRST)

    def gone() -> Release:
        raise OSError("repository gone")

    monkeypatch.setattr(shop.runner, "_read_release", gone)
    deadline = time.monotonic() + 10
    while shop.runner.last_error is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "repository gone" in str(shop.runner.last_error)
    assert shop.ask()["model_version"] == "1"


def test_a_service_that_never_answers_ends_the_start_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_services, "READY_SECONDS", 2.0)
    runner = LocalServices(
        [Service("odd", "tests.scripts.silent_service", free_port())], lambda: NONE, tmp_path
    )
    with pytest.raises(NotReady, match="odd"):
        runner.start()
    runner.stop()


RUN_AND_PRINT_PIDS = """
import sys, time
from pathlib import Path
from typing import Any
from scripts.demo.local_services import LocalServices, Service
from scripts.release_file import Release
NONE = Release(image_tag="none", model_version=0, model_sha256="0" * 64)
runner = LocalServices([Service("plain", "tests.scripts.tiny_service", int(sys.argv[2]))],
                       lambda: NONE, Path(sys.argv[1]))
runner.start()
print(runner.pids()["plain"], flush=True)
time.sleep(60)
"""


def test_services_end_when_the_runner_is_killed(tmp_path: Path) -> None:
    runner = subprocess.Popen(
        [sys.executable, "-c", RUN_AND_PRINT_PIDS, str(tmp_path), str(free_port())],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert runner.stdout is not None
    child = int(runner.stdout.readline())
    runner.kill()
    runner.communicate()
    deadline = time.monotonic() + 10
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
