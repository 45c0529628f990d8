"""A shop small enough to read: three products over three months, as a file of purchases would have it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import SecretStr

from ml.event_batch import IngestReport
from ml.ingest import import_file
from ml.lake import Lake
from ml.progress import silent
from ml.settings import MlSettings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = "k" * 32
SETTINGS = MlSettings(shop_zone="UTC", pseudonym_key=SecretStr(KEY))

USUAL: dict[str, Any] = {
    "mapping": {},
    "timezone": None,
    "currency": None,
    "allow": frozenset(),
    "now": NOW,
    "progress": silent,
}
"""Options of an import that a test does not care about."""

ROW: dict[str, Any] = {
    "event_time": datetime(2026, 6, 15, 10, tzinfo=UTC),
    "product_id": "A",
    "category": "bags",
    "price": 2.5,
    "quantity": 3,
    "order_id": "o-1",
    "customer_id": "c-1",
    "currency": "TRY",
}


def row(**changes: Any) -> dict[str, Any]:
    """A valid row of a file with some columns changed."""
    return ROW | changes


def good_rows() -> list[dict[str, Any]]:
    """Nine purchases: products A, B and C in June, July and August 2026."""
    return [
        row(
            product_id=product,
            event_time=datetime(2026, month, 10 + place, 9, tzinfo=UTC),
            order_id=f"o-{month}-{product}",
            quantity=month + place,
        )
        for month in (6, 7, 8)
        for place, product in enumerate("ABC")
    ]


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows as Parquet."""
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(file)
    return file


def take(file: Path, lake: Lake, *, settings: MlSettings = SETTINGS, **options: Any) -> IngestReport:
    """`import_file` with what a test does not care about filled in."""
    return import_file(file, lake, settings, **(USUAL | options))


def content(lake: Lake) -> list[pl.DataFrame]:
    """All rows of events and quarantine, in a fixed order."""
    return [
        lake.read("events").sort("event_id").collect(),
        lake.read("quarantine").sort("row_id").collect(),
    ]
