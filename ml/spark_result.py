"""What the Spark job leaves, and whether it is whole: a job that ended well is not yet a panel."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final, Self

import polars as pl

from ml.errors import PartsMissing
from ml.panel_parts import Made, read_parts

MARKER: Final = "result.json"


@dataclass(frozen=True)
class Bucket:
    """A folder of the result, how many rows of the panel and how many set-aside events are in it."""

    bucket: int
    rows: int
    aside: int


@dataclass(frozen=True)
class SparkResult:
    """The marker.

    Attributes:
        events: Digest of the names of the event files that were read.
        last_month: First day of the panel's last month.
        buckets: What is there.
    """

    events: str
    last_month: date
    buckets: tuple[Bucket, ...]

    @staticmethod
    def digest(files: Iterable[Path]) -> str:
        """The same for the same files of a table, wherever it is mounted."""
        names = sorted(f"{file.parent.name}/{file.name}" for file in files)
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    def to_json(self) -> str:
        """The text of the marker."""
        return json.dumps(asdict(self) | {"last_month": str(self.last_month)}, sort_keys=True)

    def write(self, folder: Path) -> None:
        """Write the marker, in whole or not at all."""
        draft = folder / f".{MARKER}"
        draft.write_text(self.to_json())
        draft.rename(folder / MARKER)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The marker of a result.

        Raises:
            PartsMissing: There is none, or it cannot be read.
        """
        try:
            found = json.loads((folder / MARKER).read_text())
            buckets = tuple(Bucket(each["bucket"], each["rows"], each["aside"]) for each in found["buckets"])
            return cls(found["events"], date.fromisoformat(found["last_month"]), buckets)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PartsMissing(
                f"{str(folder)!r} has no {MARKER} of a finished Spark job ({error}); read its log and run it again"
            ) from error

    def made(self, folder: Path, files: Iterable[Path]) -> Made:
        """What was summed up.

        Raises:
            PartsMissing: It was made from other events than `files`, or a bucket does not have the rows it had.
        """
        if self.events != self.digest(files):
            raise PartsMissing(
                f"{str(folder)!r} was made from other events than the lake has now; run the job again"
            )
        for each in self.buckets:
            self._check(folder / str(each.bucket), each)
        return read_parts([folder / str(each.bucket) for each in self.buckets])

    def _check(self, folder: Path, told: Bucket) -> None:
        for name, expected in (("panel", told.rows), ("aside", told.aside)):
            file = folder / f"{name}.parquet"
            found = pl.scan_parquet(file).select(pl.len()).collect().item() if file.exists() else None
            if found != expected:
                raise PartsMissing(
                    f"{str(file)!r} has {found} rows, the Spark job wrote {expected}; run the job again"
                )
