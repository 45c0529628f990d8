"""Files that cannot be taken end with exit code 1 and one sentence with the value and the way out; the lake stays."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ml.__main__ import main

ROOT = Path(__file__).parents[2]
FULL_DISK = """
import resource, sys
from ml.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(["ingest", "--events", sys.argv[2]]))
"""

Change = Callable[[pl.DataFrame], pl.DataFrame]


def shop(products: int = 12, days: int = 360) -> pl.DataFrame:
    """One purchase a day, in turn of each product."""
    first = datetime(2025, 1, 3, 12, tzinfo=UTC)
    return pl.DataFrame(
        {
            "event_id": [f"e{i}" for i in range(days)],
            "occurred_at": [first + timedelta(days=i) for i in range(days)],
            "product_id": [f"p{i % products}" for i in range(days)],
            "unit_price_cents": [500] * days,
            "currency": ["EUR"] * days,
            "quantity": [1 + i % 3 for i in range(days)],
        }
    )


def with_row(column: str, value: object) -> Change:
    """The eighth row has another value."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        values = frame[column].to_list()
        values[7] = value
        return frame.with_columns(pl.Series(column, values))

    return change


FAULTS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "unknown columns": (lambda d: d.rename({"occurred_at": "zzz"}), ("zzz", "--map occurred_at=COLUMN")),
    "no rows": (lambda d: d.head(0), ("no rows", "export it again")),
    "one product": (lambda d: d.with_columns(product_id=pl.lit("p1")), ("P1", "--allow one-product")),
    "one month": (lambda d: d.head(20), ("2025-01", "--allow one-month")),
    "all zeros": (lambda d: d.with_columns(quantity=pl.lit(0)), ("quantity_not_positive 360", "--map")),
    "a month without sales": (
        lambda d: d.filter(pl.col("occurred_at").dt.month() != 6),
        ("2025-06", "--allow empty-months"),
    ),
    "a future date": (
        with_row("occurred_at", datetime(2999, 1, 1, tzinfo=UTC)),
        ("2999-01-01", "row 8", "--allow future-dates"),
    ),
    "naive times": (
        lambda d: d.with_columns(pl.col("occurred_at").dt.replace_time_zone(None)),
        ("2025-01-03 12:00:00", "--timezone Europe/London"),
    ),
    "mixed currencies": (with_row("currency", "USD"), ("USD", "row 8", "--allow mixed-currencies")),
    "a quantity of 1e12": (with_row("quantity", 10**12), ("1,000,000,000,000", "--allow quantity-range")),
}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("ML_STATE", str(folder))
    monkeypatch.setenv("ML_LOG_LEVEL", "error")
    return folder


def fingerprint(folder: Path) -> str:
    """Names and bytes of every file but the lock."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"):
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


def refused(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence with which an import ends."""
    capsys.readouterr()
    assert main(["ingest", "--events", str(path)]) == 1
    said = capsys.readouterr()
    sentence = said.err.strip()
    assert "\n" not in sentence
    assert json.loads(said.out)["error"] == sentence
    return sentence


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_refused_and_named(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, told = FAULTS[fault]
    change(shop()).write_parquet(tmp_path / "events.parquet")
    sentence = refused(tmp_path / "events.parquet", capsys)
    assert [part for part in told if part not in sentence] == []


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"one product", "one month", "a month without sales"}))
def test_a_bad_file_leaves_a_filled_lake_as_it_was(
    fault: str, tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop().write_parquet(tmp_path / "good.parquet")
    assert main(["ingest", "--events", str(tmp_path / "good.parquet")]) == 0
    before = fingerprint(state)
    FAULTS[fault][0](shop()).write_parquet(tmp_path / "events.parquet")
    refused(tmp_path / "events.parquet", capsys)
    assert fingerprint(state) == before


def test_the_same_shop_without_a_fault_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The control: nothing but the fault is refused above."""
    shop().write_parquet(tmp_path / "events.parquet")
    assert main(["ingest", "--events", str(tmp_path / "events.parquet")]) == 0
    assert json.loads(capsys.readouterr().out)["accepted"] == 360


def test_a_truncated_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "events.parquet"
    shop().write_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])
    assert "truncated" in refused(path, capsys)


def test_an_empty_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events.csv").write_text("")
    assert "is empty (0 bytes)" in refused(tmp_path / "events.csv", capsys)


def test_a_state_that_cannot_be_written_is_named(
    tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file where the folder should be: the one way to be read-only that also stops an administrator."""
    state.write_text("")
    shop().write_parquet(tmp_path / "events.parquet")
    assert str(state) in refused(tmp_path / "events.parquet", capsys)
    assert state.read_text() == ""


@pytest.mark.parametrize(("free_bytes", "code"), [(4096, 1), (10**9, 0)], ids=["full", "control"])
def test_a_full_disk_is_named_and_the_lake_stays(
    tmp_path: Path, state: Path, free_bytes: int, code: int
) -> None:
    """Files may not grow past a limit, which is what a full disk does to a writer; without it the same import works."""
    shop().write_parquet(tmp_path / "good.parquet")
    assert main(["ingest", "--events", str(tmp_path / "good.parquet")]) == 0
    before = fingerprint(state)
    more = shop(products=500, days=5000).with_columns(
        "f" + pl.col("event_id"), pl.col("occurred_at") - timedelta(days=4700)
    )
    more.write_parquet(tmp_path / "more.parquet")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(free_bytes), str(tmp_path / "more.parquet")],
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert (fingerprint(state) == before) == (code == 1)
    if code:
        assert "check the disk's free space" in json.loads(done.stdout)["error"]
