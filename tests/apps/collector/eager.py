"""A collector that acknowledges before the commit and stores events one by one: what the campaigns must catch.

Run as `python -m tests.apps.collector.eager`, in place of `python -m apps.collector`.
"""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from apps.collector import main
from ml.event_store import Inbox, Receipt, Row


class Eager(Inbox):
    """Answers at once and writes later, each event in a commit of its own."""

    def keep(self, rows: Sequence[Row]) -> list[Receipt]:
        threading.Thread(target=self._later, args=(rows,), daemon=True).start()
        return [Receipt(row.event_id, "accepted") for row in rows]

    def _later(self, rows: Sequence[Row]) -> None:
        for row in rows:
            time.sleep(0.01)
            super().keep([row])


def eagerly(location: Path, *_: Any, **__: Any) -> Inbox:
    return Eager(location)


if __name__ == "__main__":
    with patch("apps.collector.main.open_inbox", eagerly):
        main.main()
