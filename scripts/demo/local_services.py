"""Runs the services on this machine as a merged release file says, and follows it.

A deployment without Kubernetes: the listening sockets belong to this process and are handed to the services,
so a new forecast process starts beside the old one on the same port, and the old one leaves only when the new
one has said that it is ready. A release whose process never becomes ready changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from scripts.release_file import Release

READY_SECONDS = 60.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Service:
    """One process: `module` is run with `-m`, `from_release` are the variables a release gives it."""

    name: str
    module: str
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    from_release: Callable[[Release], dict[str, str]] | None = None


class NotReady(Exception):
    """A process did not become ready; the text ends with the last lines of its log."""


class _Process:
    def __init__(self, service: Service, listener: socket.socket, log: Path, release: Release | None) -> None:
        self.release = release
        alive_read, self._alive = os.pipe()  # its end tells the child that this process is gone
        self._ready, ready_write = os.pipe()  # the child writes one line when it can answer
        self.log = log
        extra = service.from_release(release) if service.from_release and release else {}
        environment = {
            **os.environ,
            **service.environment,
            **extra,
            "LISTEN_FD": str(listener.fileno()),
            "PARENT_PIPE_FD": str(alive_read),
            "READY_FD": str(ready_write),
        }
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", service.module],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=(listener.fileno(), alive_read, ready_write),
            )
        os.close(alive_read)
        os.close(ready_write)

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def pid(self) -> int:
        return self._popen.pid

    def ask_to_stop(self) -> None:
        if self.running:
            self._popen.terminate()

    def stop(self) -> None:
        self.ask_to_stop()
        if self.running:
            try:
                self._popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        for descriptor in (self._alive, self._ready):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def wait_ready(self, name: str) -> None:
        """Return when the child says that it can answer; it ends by itself when it cannot."""
        readable, _, _ = select.select([self._ready], [], [], READY_SECONDS)
        if not readable:
            raise NotReady(f"{name} is not ready after {READY_SECONDS:.0f} s:\n{self.last_lines()}")
        said = os.read(self._ready, 65_536)
        readiness = json.loads(said) if said else {}
        if readiness.get("ready") is not True:
            missing = {
                check["detail"] for check in readiness.get("checks", {}).values() if not check["ready"]
            }
            raise NotReady(f"{name} cannot start: {'; '.join(sorted(missing)) or self.last_lines()}")

    def last_lines(self, count: int = 5) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-count:])


class LocalServices:
    """Keeps every service running and the forecast service on the released model.

    Args:
        services: What to run. A service with `from_release` waits until the release names a model.
        read_release: Reads the merged release; called twice a second by `follow`.
        logs: Folder for one log file per service.
        host: Address to listen on.
    """

    def __init__(
        self,
        services: list[Service],
        read_release: Callable[[], Release],
        logs: Path,
        host: str = "127.0.0.1",
    ) -> None:
        self._services = {service.name: service for service in services}
        self._read_release = read_release
        self._logs = logs
        self._host = host
        self._listeners: dict[str, socket.socket] = {}
        self._processes: dict[str, _Process] = {}
        self._refused: Release | None = None
        self._stopping = threading.Event()
        self._follower: threading.Thread | None = None
        self.last_error: str | None = None

    def start(self) -> None:
        """Take every port, start what needs no release, then follow the release in the background.

        Raises:
            OSError: A port is taken.
            NotReady: A service did not say in time that it is ready.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        for service in self._services.values():
            listener = socket.create_server((self._host, service.port), backlog=512)
            listener.set_inheritable(True)
            self._listeners[service.name] = listener
        for service in self._services.values():
            if service.from_release is None:
                self._processes[service.name] = self._launch(service, None)
        for name, process in self._processes.items():
            process.wait_ready(name)
        self._follower = threading.Thread(target=self._follow, name="follow-release", daemon=True)
        self._follower.start()

    def url(self, name: str) -> str:
        """Base URL of a service."""
        return f"http://{self._host}:{self._services[name].port}"

    def wait_for(self, release: Release, timeout_seconds: float = READY_SECONDS) -> float:
        """Seconds until every service that follows the release serves it, seen in the services' own answers.

        Raises:
            NotReady: It is not served in time; the reason is the last refusal.
        """
        began = time.monotonic()
        following = [s for s in self._services.values() if s.from_release is not None]
        while time.monotonic() - began < timeout_seconds:
            if all(_serves(self.url(s.name), release) for s in following) and self._settled(release):
                return time.monotonic() - began
            if self._refused == release:
                break
            time.sleep(0.05)
        raise NotReady(
            self.last_error or f"model {release.model_version} is not served after {timeout_seconds:.0f} s"
        )

    def stop(self) -> None:
        """Stop following, then every service, then give the ports back."""
        self._stopping.set()
        if self._follower is not None:
            self._follower.join(READY_SECONDS)
        for process in self._processes.values():
            process.ask_to_stop()
        for process in self._processes.values():
            process.stop()
        for listener in self._listeners.values():
            listener.close()

    def pids(self) -> dict[str, int]:
        """Process id of each running service."""
        return {name: process.pid for name, process in self._processes.items() if process.running}

    def _settled(self, release: Release) -> bool:
        return all(
            self._processes[s.name].release == release
            for s in self._services.values()
            if s.from_release is not None and s.name in self._processes
        )

    def _follow(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            self._restart_crashed()
            try:
                release = self._read_release()
            except Exception as error:  # noqa: BLE001 - the repository may be mid-write or gone: keep serving, say so
                self.last_error = f"the release cannot be read: {error}"
                continue
            if release.has_model and release != self._refused:
                self._apply(release)

    def _apply(self, release: Release) -> None:
        for service in self._services.values():
            current = self._processes.get(service.name)
            if service.from_release is None or (current and current.release == release):
                continue
            candidate = self._launch(service, release)
            try:
                candidate.wait_ready(service.name)
            except NotReady as error:
                candidate.stop()
                self._refused, self.last_error = release, str(error)
                return
            self._processes[service.name] = candidate
            if current:
                current.stop()
        self._refused = self.last_error = None

    def _restart_crashed(self) -> None:
        for name, process in list(self._processes.items()):
            if not process.running:
                process.stop()
                self._processes[name] = self._launch(self._services[name], process.release)

    def _launch(self, service: Service, release: Release | None) -> _Process:
        return _Process(service, self._listeners[service.name], self._logs / f"{service.name}.log", release)


def _get(url: str) -> dict[str, object] | None:
    """The JSON object behind a URL, or None when there is no good answer."""
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:  # noqa: S310 - always http on this machine
            body = json.load(answer)
    except (OSError, HTTPException, ValueError):
        return None
    return body if isinstance(body, dict) else None


def _serves(url: str, release: Release) -> bool:
    info = _get(f"{url}/model-info") or {}
    return (
        info.get("model_sha256") == release.model_sha256
        and str(info.get("model_version")) == str(release.model_version)
        and info.get("image_tag") == release.image_tag
    )
