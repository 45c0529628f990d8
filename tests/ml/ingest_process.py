"""Ingest as a process of its own, for tests that race or kill it: `python -m tests.ml.ingest_process ...`.

Arguments: the lake, then what to take (an inbox or a Parquet file), then `locked` or `unlocked`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ml.ingest
from ml.event_store import Inbox
from ml.lake import Lake
from tests.ml.small_shop import SETTINGS, take


class UnlockedLake(Lake):
    """Of a machine whose lock the others do not see."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Nobody waits."""
        yield


def main(root: str, source: str, lock: str) -> None:
    """Take the source into the lake, after a line on stdin."""
    setattr(ml.ingest, "INBOX_BATCH", 20)  # noqa: B010 - final for everyone else
    lake = (Lake if lock == "locked" else UnlockedLake)(Path(root))
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    if source.endswith(".parquet"):
        report = take(Path(source), lake)
    else:
        inbox = Inbox(Path(source))
        report = ml.ingest.drain_inbox(inbox, lake, SETTINGS)
        inbox.close()
    print(report.accepted, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
