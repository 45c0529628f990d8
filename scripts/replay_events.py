"""`python -m scripts.replay_events`: sends the events of a file through a collector, as a shop would.

Gives staging its traffic and the demo its HTTP part. The ids are those an import of the same file gives, so sending
and importing the same rows keeps each once. stdout is one JSON object; exit code 0 when every event was taken.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
from tqdm import tqdm

from ml.errors import MlError
from ml.events import Event
from ml.ingest import accepted_events
from ml.progress import silent
from ml.settings import MlSettings

TAKEN = ("accepted", "duplicate")
KEY_VARIABLE = "COLLECTOR_API_KEY"
TRIES = 5
LONGEST_WAIT = 10.0


class Refused(Exception):
    """The collector did not take a batch; the text has its answer."""


def send(
    events: Iterable[dict[str, Any]],
    client: httpx.Client,
    url: str,
    *,
    batch: int,
    pause_seconds: float = 0.0,
) -> Counter[str]:
    """How many events ended as `accepted`, `duplicate`, `conflict` or `refused`.

    A collector that is busy (503) or just starting is asked again after what its `Retry-After` says; sending a batch
    twice is safe, since the ids stay. Over the rate of the key (429) it waits as it is told, however often.

    Raises:
        Refused: Another answer than 202, or none after five tries.
    """
    statuses: Counter[str] = Counter()
    for part in _batches(events, batch):
        answer = _post(client, f"{url}/events", part)
        statuses.update(receipt["status"] for receipt in answer.json()["events"])
        time.sleep(pause_seconds)
    return statuses


def events_of(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of `ml.columns.EVENT_SCHEMA` as a sender writes them; absent fields are left out."""
    for row in frame.select(list(Event.model_fields)).iter_rows(named=True):
        row["occurred_at"] = row["occurred_at"].isoformat()
        yield {name: value for name, value in row.items() if value is not None}


def _post(client: httpx.Client, url: str, events: list[dict[str, Any]]) -> httpx.Response:
    attempt = 0
    while attempt < TRIES:
        try:
            answer = client.post(url, json=events)
        except httpx.TransportError as error:
            reason, wait = str(error) or type(error).__name__, 0.2 * 2**attempt
        else:
            if answer.status_code == httpx.codes.ACCEPTED:
                return answer
            if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                time.sleep(_retry_after(answer))
                continue
            reason, wait = (
                f"{answer.status_code}: {answer.text[:300]}",
                min(_retry_after(answer), LONGEST_WAIT),
            )
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
        attempt += 1
        if attempt < TRIES:
            time.sleep(wait)
    raise Refused(f"{url} did not take {len(events)} events: {reason}")


def _retry_after(answer: httpx.Response) -> float:
    value = answer.headers.get("Retry-After", "1")
    return float(value) if value.isdecimal() else 1.0


def _batches(events: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    part: list[dict[str, Any]] = []
    for event in events:
        part.append(event)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.replay_events", description=__doc__)
    parser.add_argument("--events", type=Path, required=True, help="Parquet or CSV file, or a folder of them")
    parser.add_argument("--newest", type=int, help="only so many, the newest ones")
    parser.add_argument("--collector", default="http://127.0.0.1:8000", help="base URL [%(default)s]")
    parser.add_argument("--batch", type=int, default=500, choices=range(1, 1001), metavar="1..1000")
    parser.add_argument("--pause-seconds", type=float, default=0.0, help="between batches")
    parser.add_argument("--map", action="append", default=[], metavar="FIELD=COLUMN", help="name a column")
    parser.add_argument("--timezone", help="zone of times without one")
    parser.add_argument("--currency", help="currency of rows that name none")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="CHECK", help="pass over a file check"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Send; 0 when all were taken, 1 when one was not or the file is refused."""
    options = _parser().parse_args(arguments)
    try:
        settings = MlSettings()
        frame = accepted_events(
            options.events,
            settings,
            mapping=dict(pair.split("=", 1) for pair in options.map),
            timezone=options.timezone,
            currency=options.currency,
            allow=frozenset(options.allow),
            now=datetime.now(UTC),
            progress=silent,
            key=settings.pseudonym_secret(),
        )
        chosen = frame.tail(options.newest) if options.newest else frame
        headers = {"X-API-Key": os.environ.get(KEY_VARIABLE, "")}
        with httpx.Client(headers=headers, timeout=30) as client:
            shown = tqdm(events_of(chosen), total=chosen.height, unit=" events", leave=False, disable=None)
            statuses = send(
                shown, client, options.collector, batch=options.batch, pause_seconds=options.pause_seconds
            )
    except (MlError, Refused) as error:
        sys.stderr.write(f"{error}\n")
        print(json.dumps({"error": str(error)}, ensure_ascii=False))
        return 1
    print(json.dumps({"events": chosen.height, **statuses}))
    return 0 if sum(statuses[name] for name in TAKEN) == chosen.height else 1


if __name__ == "__main__":
    sys.exit(main())
