"""Kills under load, seeded: the collector by SIGKILL, PostgreSQL by an immediate stop.

    python -m tests.apps.collector.campaign --store postgresql --kills 200 --stops 50 --seed 7

prints one JSON object; `faults` must all be 0. The store is read past the code under test, after each blow.
"""

import argparse
import json
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.apps.collector.senders import KEY, PSEUDONYM_KEY, Senders, faults, sending
from tests.apps.process import listener, running
from tests.postgresql import Server, postgresql

LONGEST_LIFE_SECONDS = 0.5
MOMENT_SECONDS = 0.3

Ids = Callable[[], list[str]]


def sqlite_ids(path: Path) -> list[str]:
    """Every stored id, in order."""
    with closing(sqlite3.connect(path)) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE name = 'events'").fetchall()
        return (
            [str(row[0]) for row in db.execute("SELECT event_id FROM events ORDER BY seq")] if tables else []
        )


def postgresql_ids(server: Server) -> list[str]:
    """Every stored id, in order."""
    return [str(row[0]) for row in server.run("SELECT event_id FROM events ORDER BY seq")]


class Campaign:
    """Blows to a collector under load.

    Args:
        inbox: What `COLLECTOR_INBOX` names.
        ids: Reads the store's ids.
        module: The collector; another stands for one that breaks its promise.
    """

    def __init__(self, inbox: str, ids: Ids, seed: int, module: str = "apps.collector") -> None:
        self._ids, self._module = ids, module
        self._chance, self._seed = random.Random(seed), seed  # noqa: S311
        self._variables = {
            "COLLECTOR_INBOX": inbox,
            "COLLECTOR_API_KEY": KEY,
            "COLLECTOR_PSEUDONYM_KEY": PSEUDONYM_KEY,
            "COLLECTOR_LOG_LEVEL": "error",
        }
        self.found: Counter[str] = Counter()
        self.refusals: list[str] = []
        self.acknowledged = 0

    def kill_collectors(self, kills: int) -> None:
        """So many lives on one socket, each ended by SIGKILL, and one more to its end."""
        with listener() as bound, ExitStack() as stack:
            senders = stack.enter_context(sending(bound.getsockname()[1], self._seed))
            for _ in range(kills):
                with running(self._module, self._variables, bound) as process:
                    time.sleep(self._chance.uniform(0.0, LONGEST_LIFE_SECONDS))
                    process.popen.kill()
                    process.popen.wait()
                self._look(senders)
            with running(self._module, self._variables, bound):
                senders.finish()
        self._end(senders)

    def stop_database(self, server: Server, stops: int) -> None:
        """So many immediate stops of the server under one collector."""
        with listener() as bound, running(self._module, self._variables, bound):
            with sending(bound.getsockname()[1], self._seed) as senders:
                for _ in range(stops):
                    time.sleep(self._chance.uniform(0.0, LONGEST_LIFE_SECONDS))
                    server.stop("immediate")
                    time.sleep(self._chance.uniform(0.0, MOMENT_SECONDS))
                    server.start()
                    self._look(senders)
            self._end(senders)

    def report(self) -> dict[str, Any]:
        """Faults by kind, and how much went well."""
        return {
            "seed": self._seed,
            "faults": {name: self.found[name] for name in ("lost", "twice", "halves", "strange")},
            "acknowledged": self.acknowledged,
            "refusals": len(self.refusals),
        }

    def _look(self, senders: Senders) -> None:
        told = senders.told()  # before the store, for what was acknowledged by then must be there
        stored = self._ids()
        told.batches = senders.told().batches  # after it, for what is there must have been sent
        self.found.update(faults(told, stored))

    def _end(self, senders: Senders) -> None:
        self._look(senders)
        told = senders.told()
        self.refusals += told.refusals
        self.acknowledged += len(told.acknowledged)


def main() -> int:
    """0 when nothing was lost, doubled or halved."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--kills", type=int, default=200, help="of the collector")
    parser.add_argument("--stops", type=int, default=50, help="of PostgreSQL")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    started = time.monotonic()
    with ExitStack() as stack:
        if options.store == "sqlite":
            path = Path(stack.enter_context(TemporaryDirectory())) / "inbox.sqlite"
            campaign = Campaign(str(path), lambda: sqlite_ids(path), options.seed)
            campaign.kill_collectors(options.kills)
        else:
            server = stack.enter_context(postgresql())
            campaign = Campaign(str(server.new_inbox()), lambda: postgresql_ids(server), options.seed)
            campaign.kill_collectors(options.kills)
            server.new_inbox()
            campaign.stop_database(server, options.stops)
    report = campaign.report() | {"seconds": round(time.monotonic() - started)}
    sys.stdout.write(json.dumps(report) + "\n")
    return int(any(report["faults"].values()))


if __name__ == "__main__":
    raise SystemExit(main())
