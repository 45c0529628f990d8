"""The whole way of an alarm: a service that hangs, a real Prometheus and Alertmanager, on-call and a mail server."""

import copy
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.apps.oncall.campaign import READER, quick_rota, variables
from tests.apps.oncall.told import Mailbox, until
from tests.apps.oncall.world import TOKEN
from tests.apps.process import Process, listener, running
from tests.observability.alertmanager import Alertmanager
from tests.observability.prometheus import Prometheus, quick

ALARMS = {"ServiceDown", "Watchdog"}
SILENCE_SECONDS = 15


def rules() -> list[dict[str, Any]]:
    """The committed rules of a service that is down, and of the heartbeat."""
    found = copy.deepcopy(quick())
    for each in found:
        each["rules"] = [rule for rule in each["rules"] if rule.get("alert") in ALARMS]
    return [each for each in found if each["rules"]]


class Chain:
    """A chain with levels `wait` apart; parts of it are killed and begin anew on the same addresses and disks."""

    def __init__(self, folder: Path, stack: ExitStack, wait: str) -> None:
        self.folder, self._stack = folder, stack
        folder.mkdir(parents=True, exist_ok=True)
        quick_rota(folder, wait)
        self.mailbox = Mailbox()
        stack.callback(self.mailbox.stop)
        self._bound = stack.enter_context(listener())
        self.url = f"http://127.0.0.1:{self._bound.getsockname()[1]}"
        self._life = stack.enter_context(ExitStack())
        self.begin_oncall()
        self.alertmanager = Alertmanager(folder / "alertmanager", to=self.url, token=TOKEN)
        stack.callback(self.alertmanager.stop)
        self.alertmanager.wait()
        (folder / "repository").mkdir()
        bound: socket.socket = stack.enter_context(listener())
        self.service: Process = stack.enter_context(
            running("apps.console", {"CONSOLE_REPOSITORY": str(folder / "repository")}, bound)
        )
        address = f"127.0.0.1:{self.service.port}"
        self.prometheus = Prometheus(
            folder / "prometheus", {"console": address}, rules(), self.alertmanager.address
        )
        stack.callback(self.prometheus.stop)
        until(lambda: self.prometheus.ask('up{job="probe"} == 1'), 60)

    def begin_oncall(self) -> None:
        """Start the on-call service; it is killed at the end of its life."""
        given = variables(self.folder, self.mailbox, heartbeat_seconds=SILENCE_SECONDS)
        self._life.enter_context(running("apps.oncall", given, self._bound))

    def kill_oncall(self) -> None:
        """SIGKILL; its address goes on to listen."""
        self._life.close()

    def kill_alertmanager(self) -> None:
        """SIGKILL, and again a start on the same disk."""
        self.alertmanager.process.kill()
        self.alertmanager.process.wait()
        self.alertmanager.restart()

    def hang(self) -> None:
        """The service stops to answer."""
        self.service.popen.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """And answers again."""
        self.service.popen.send_signal(signal.SIGCONT)

    def incidents(self, title: str = "ServiceDown") -> list[dict[str, Any]]:
        """Those of an alarm, newest first."""
        answer = httpx.get(f"{self.url}/incidents", params={"limit": 200}, headers=READER, timeout=20)
        return [
            each for each in answer.raise_for_status().json()["incidents"] if each["title"].startswith(title)
        ]

    def act(self, number: int, verb: str) -> None:
        """As a person does."""
        httpx.post(
            f"{self.url}/incidents/{number}/{verb}", json={}, headers=READER, timeout=20
        ).raise_for_status()

    def told(self, person: str, words: str) -> int:
        """How many mails with these words in the subject somebody got."""
        return sum(words in mail.subject for mail in self.mailbox.to(person))


@contextmanager
def chain(folder: Path, wait: str = "4s") -> Iterator[Chain]:
    """A running chain, in which nothing is wrong yet."""
    with ExitStack() as stack:
        yield Chain(folder, stack, wait)
