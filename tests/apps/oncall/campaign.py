"""Kills of the on-call service while alarms come, timers run and mails leave; seeded.

    python -m tests.apps.oncall.campaign --kills 50 --seed 7

prints one JSON object; `wrong` must be empty.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from apps.oncall.trail import verify
from tests.apps.oncall.told import Mailbox
from tests.apps.oncall.world import KEY, TOKEN, alert, group, rota, written
from tests.apps.process import listener, running

BEARER = {"Authorization": f"Bearer {TOKEN}"}
READER = {"X-API-Key": KEY}
LEVELS = ("ayse", "deniz", "can")


def quick_rota(folder: Path, wait: str = "1s") -> Path:
    """Three levels by mail, `wait` apart, once."""
    content = rota(folder)
    levels = [{"who": person, "wait": wait} for person in LEVELS]
    content["policies"]["page"] = {"levels": levels, "rounds": 1}
    return written(folder, content)


def variables(folder: Path, mailbox: Mailbox, **given: object) -> dict[str, str]:
    """Of a process that is quick to look and to take over."""
    values = {
        "rota": folder / "rota.yaml",
        "database": folder / "oncall.sqlite",
        "alert_token": TOKEN,
        "api_key": KEY,
        "smtp_host": "127.0.0.1",
        "smtp_port": mailbox.port,
        "smtp_security": "plain",
        "mail_from": "oncall@shop.example",
        "tick_seconds": 0.05,
        "lease_seconds": 1,
        "retry_seconds": 0.2,
        **given,
    }
    return {f"ONCALL_{name.upper()}": str(value) for name, value in values.items()}


def faults(acknowledged: int, incidents: int, copies: Mapping[tuple[str, str], int], kills: int) -> list[str]:
    """What the campaign must not find: an alarm lost, a person not told, a copy more than a kill explains."""
    found = []
    if incidents != acknowledged:
        found.append(f"{incidents} incidents of {acknowledged} acknowledged groups")
    by_person = Counter(to.partition("@")[0] for _, to in copies)
    found += [
        f"{person} heard of {by_person[person]} of {acknowledged}"
        for person in LEVELS
        if by_person[person] != acknowledged
    ]
    extra = sum(count - 1 for count in copies.values())
    if extra > kills:
        found.append(f"{extra} copies too many after {kills} kills")
    return found


def run(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill a service again and again, then let one finish its work."""
    chance = random.Random(seed)  # noqa: S311
    quick_rota(folder)
    mailbox = Mailbox(hold=lambda: time.sleep(chance.random() * 0.1))
    acknowledged: list[str] = []
    stop = threading.Event()
    with listener() as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        sender = threading.Thread(target=_send, args=(url, acknowledged, stop))
        sender.start()
        try:
            for _ in range(kills):
                with running("apps.oncall", variables(folder, mailbox), bound):
                    time.sleep(0.2 + chance.random() * 2)
            with running("apps.oncall", variables(folder, mailbox), bound) as last:
                assert last.readiness["ready"], last.ended()
                time.sleep(0.5)
                stop.set()
                sender.join()
                _wait_for_silence(url, len(acknowledged))
                incidents = _incidents(url)
                trail = httpx.get(f"{url}/trail", headers=READER, timeout=20).text.splitlines()
        finally:
            stop.set()
            sender.join()
            mailbox.stop()
    copies = mailbox.copies()
    broken = verify(trail)
    wrong = faults(len(acknowledged), incidents, copies, kills)
    return {
        "kills": kills,
        "seed": seed,
        "acknowledged": len(acknowledged),
        "mails": sum(copies.values()),
        "copies_too_many": sum(copies.values()) - len(copies),
        "wrong": wrong if broken is None else [*wrong, f"the trail breaks at {broken}"],
    }


def _send(url: str, acknowledged: list[str], stop: threading.Event) -> None:
    """As Alertmanager: one group after the other, each again until it is taken."""
    while not stop.is_set():
        key = f"g{len(acknowledged)}"
        with suppress(httpx.HTTPError):
            answer = httpx.post(
                f"{url}/alerts/page", json=group(alert(key), key=key), headers=BEARER, timeout=5
            )
            if answer.status_code == 200:
                acknowledged.append(key)
        stop.wait(0.3)


def _incidents(url: str) -> int:
    answer = httpx.get(f"{url}/incidents", params={"limit": 200}, headers=READER, timeout=20)
    return len(answer.raise_for_status().json()["incidents"])


def _wait_for_silence(url: str, incidents: int) -> None:
    """Until every level was told and nothing waits."""
    end = time.monotonic() + 60 + incidents
    while time.monotonic() < end:
        answer = httpx.get(f"{url}/trail", headers=READER, timeout=20).text
        metrics = httpx.get(f"{url}/metrics", timeout=20).text
        if answer.count("nobody left") >= incidents and "\noncall_queue_messages 0.0" in metrics:
            return
        time.sleep(0.2)
    raise AssertionError("the work was not done in time")


def main() -> int:
    """Print the report; 1 when something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        report = run(Path(folder), options.kills, options.seed)
    sys.stdout.write(json.dumps(report) + "\n")
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
