"""A real Alertmanager with the real configuration at a wanted hour and day, and everybody it tells.

Its clock cannot be turned, so the zone of the time windows is: `Etc/GMT+n` has the wanted hour now, and the names of
the days are moved on. Waits are shortened, addresses are a server of the test, and one more label keeps cases apart.
"""

import copy
import json
import re
import subprocess
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from scripts.observability.objectives import FOLDER
from tests.scripts.free_port import free_port

CONFIGURATION = FOLDER / "alertmanager.yaml"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CASE = "case"


def configuration() -> dict[str, Any]:
    """What is committed."""
    loaded: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    return loaded


class Told:
    """A server that writes down who was told what."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any], str]] = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.messages.append((self.path, body, self.headers.get("Authorization", "")))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of_case(self, case: str) -> set[tuple[str, str]]:
        """(receiver, alert) of every firing alert of a case that somebody was told."""
        return {
            (body["receiver"], alert["labels"]["alertname"])
            for _, body, _ in list(self.messages)
            for alert in body["alerts"]
            if alert["labels"].get(CASE) == case and alert["status"] == "firing"
        }

    def stop(self) -> None:
        """Close it."""
        self.server.shutdown()
        self.server.server_close()


def scaled(told: str, token: Path, hour: int | None = None, day: str | None = None) -> dict[str, Any]:
    """The committed configuration with short waits, at an hour of a day if one is given."""
    found = copy.deepcopy(configuration())
    for route in (found["route"], *found["route"]["routes"]):
        waits = {"group_wait": "200ms", "group_interval": "500ms", "repeat_interval": "1s"}
        route.update({name: short for name, short in waits.items() if name in route})
        if "group_by" in route:
            route["group_by"] = [*route["group_by"], CASE]
    found["route"]["repeat_interval"] = "1h"
    for rule in found["inhibit_rules"]:
        rule["equal"] = [*rule.get("equal", []), CASE]
    for receiver in found["receivers"]:
        for hook in receiver.get("webhook_configs", []):
            hook["url"] = told + re.sub(r"^http://[^/]+", "", hook["url"])
            hook["http_config"]["authorization"]["credentials_file"] = str(token)
    if hour is not None and day is not None:
        _turn(found, hour, day)
    return found


def _turn(found: dict[str, Any], hour: int, day: str) -> None:
    now = datetime.now(UTC)
    ahead = (hour - now.hour + 12) % 24 - 12  # of UTC, at most half a day
    local_day = (now.weekday() + (now.hour + ahead) // 24) % 7
    move = local_day - DAYS.index(day)
    for interval in found["time_intervals"]:
        for each in interval["time_intervals"]:
            each["location"] = f"Etc/GMT{-ahead:+d}"  # POSIX counts the other way round
            if "weekdays" in each:
                each["weekdays"] = [DAYS[(DAYS.index(name) + move) % 7] for name in each["weekdays"]]


class Alertmanager:
    """A process in a folder of its own; everything it says goes to `told`, or to the address `to` with `token`."""

    def __init__(
        self,
        folder: Path,
        hour: int | None = None,
        day: str | None = None,
        *,
        to: str | None = None,
        token: str | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.told = Told()
        file = folder / "token"
        file.write_text(token or "of-the-test")
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(scaled(to or self.told.url, file, hour, day)))
        self.address, self._folder = f"127.0.0.1:{free_port()}", folder
        self.process = self._begun()

    def restart(self) -> None:
        """Begin anew on the same disk after its end."""
        self.process = self._begun()
        self.wait()

    def _begun(self) -> subprocess.Popen[bytes]:
        folder = self._folder
        return subprocess.Popen(
            [
                "prometheus-alertmanager",
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",
                "--log.level=error",
            ]
        )

    def wait(self) -> None:
        """Until it is ready."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                if httpx.get(f"http://{self.address}/-/ready").status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
        raise AssertionError("Alertmanager did not start")

    def fire(self, *alerts: Mapping[str, str]) -> None:
        """Post alerts as Prometheus does."""
        posted = [{"labels": dict(labels)} for labels in alerts]
        httpx.post(f"http://{self.address}/api/v2/alerts", json=posted).raise_for_status()

    def stop(self) -> None:
        """End it and whom it tells."""
        self.process.terminate()
        self.process.wait(timeout=20)
        self.told.stop()
