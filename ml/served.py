"""What the forecast service served, added up from the files of its pods by model and snapshot.

A file is one pod's counts of some minutes for one snapshot: a JSON object in each line, the first says where it is
from, `product_id` lines count a product, `live` lines are numbers of a sample of live forecasts. Nothing in them is of
a caller.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from ml.bucket import Bucket
from ml.folder import Folder
from ml.location import Location
from ml.model_store import Files

FORMAT: Final = 1
SUFFIX: Final = ".jsonl"
_NANOSECONDS: Final = 1_000_000_000

_LOG = logging.getLogger(__name__)


@dataclass
class Served:
    """Forecasts of one snapshot that callers got.

    Attributes:
        asked: By product id, how often it was asked for.
        listed: By product id, how often it was on a page.
        live: Forecasts of histories that were sent; `samples` are the numbers of some of them, in no order.
        since: Of the oldest file, ISO 8601.
        until: Of the newest.
    """

    model_version: int
    model_sha256: str
    data_version: str
    asked: Counter[str]
    listed: Counter[str]
    live: int
    samples: list[dict[str, Any]]
    files: int
    since: str
    until: str

    @property
    def products(self) -> int:
        """How many products were served."""
        return len(self.asked.keys() | self.listed.keys())

    @classmethod
    def of(cls, data: bytes) -> Self:
        """What one file says.

        Raises:
            ValueError: It is of a newer format, or no such file; so do KeyError and TypeError.
        """
        head, *lines = [json.loads(line) for line in data.splitlines()]
        if head["format"] > FORMAT:
            raise ValueError(f"format {head['format']}, this release reads {FORMAT}")
        counts = [line for line in lines if "product_id" in line]
        return cls(
            int(head["model_version"]),
            str(head["model_sha256"]),
            str(head["data_version"]),
            asked=Counter({str(line["product_id"]): int(line["asked"]) for line in counts}),
            listed=Counter({str(line["product_id"]): int(line["listed"]) for line in counts}),
            live=int(head["live"]),
            samples=[dict(line["live"]) for line in lines if "live" in line],
            files=1,
            since=str(head["since"]),
            until=str(head["until"]),
        )

    def add(self, other: Self) -> None:
        """Take in another part of the same model and snapshot."""
        self.asked.update(other.asked)
        self.listed.update(other.listed)
        self.live += other.live
        self.samples += other.samples
        self.files += other.files
        self.since, self.until = min(self.since, other.since), max(self.until, other.until)


def place_of_served(place: Location) -> Files:
    """The files below a folder or `s3://BUCKET/PREFIX`."""
    return Folder(place) if isinstance(place, Path) else Bucket(place)


def read_served(files: Files, since: datetime | None = None) -> tuple[list[Served], list[str]]:
    """What was served by model and snapshot, both by name, and the files that could not be read.

    Args:
        files: What pods wrote to, `<model sha256>/<data version>/<time>-<random>.jsonl`.
        since: Only files that were written from then on; older ones are not opened.

    Raises:
        StoreUnavailable: The place does not answer.
    """
    found: dict[tuple[str, str], Served] = {}
    unreadable = []
    for name, part in served_parts(files, since):
        if part is None:
            unreadable.append(name)
            continue
        key = part.model_sha256, part.data_version
        if key in found:
            found[key].add(part)
        else:
            found[key] = part
    return [found[key] for key in sorted(found)], unreadable


def served_parts(files: Files, since: datetime | None = None) -> Iterator[tuple[str, Served | None]]:
    """Each file by its name with what it says, None where it could not be read; arguments and errors as above."""
    for name in _names(files, 0 if since is None else int(since.timestamp() * _NANOSECONDS)):
        try:
            yield name, Served.of(files.read(name))
        except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
            _LOG.warning("served file not read", extra={"file": name, "reason": repr(error)})
            yield name, None


def _names(files: Files, earliest: int) -> Iterator[str]:
    for model in sorted(files.folders("")):
        for version in sorted(files.folders(model)):
            folder = f"{model}/{version}"
            for name in sorted(files.names(folder)):
                if name.endswith(SUFFIX) and _written(name) >= earliest:
                    yield f"{folder}/{name}"


def _written(name: str) -> int:
    """Nanoseconds since 1970 in a file's name; 0 where there are none, so that such a file is looked at."""
    digits = name.partition("-")[0]
    return int(digits) if digits.isdecimal() else 0
