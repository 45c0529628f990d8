"""Rows that were divided into buckets are read back bucket by bucket, whatever their number."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ml.panel_pieces import Pieces, write_pieces

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("portion", [1, 13, 100])
@pytest.mark.parametrize("at_a_time", [1, 7, 50_000])
def test_every_bucket_has_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_a_time: int, portion: int
) -> None:
    monkeypatch.setattr("ml.panel_pieces.ROWS_ENCODED", at_a_time)
    rows = pl.DataFrame(
        {
            "occurred_at": [START + timedelta(hours=place % 31) for place in range(100)],
            "name": [f"a name of some length {place}" for place in range(100)],
            "number": [place * 37 % 10 for place in range(100)],
        }
    )
    portions = [rows[start : start + portion] for start in range(0, rows.height, portion)]
    write_pieces(portions, pl.col("number") + 1, 12, tmp_path / "pieces")
    pieces = Pieces.open(tmp_path / "pieces")
    assert pieces.newest == START + timedelta(hours=30)
    assert pieces.rows.tolist() == [0, *[10] * 10, 0]
    for bucket in range(1, 11):
        expected = rows.filter(pl.col("number") == bucket - 1)
        assert_frame_equal(pl.concat(pieces.read(bucket)).sort("name"), expected.sort("name"))
    assert [list(pieces.read(bucket)) for bucket in (0, 11)] == [[], []]


def test_no_rows_are_pieces_too(tmp_path: Path) -> None:
    rows = pl.DataFrame(schema={"occurred_at": pl.Datetime("us", "UTC"), "number": pl.Int64()})
    for name, portions in {"none": [], "empty": [rows]}.items():
        write_pieces(portions, pl.col("number"), 3, tmp_path / name)
        pieces = Pieces.open(tmp_path / name)
        assert (pieces.newest, pieces.rows.tolist()) == (None, [0, 0, 0])
        assert list(pieces.read(1)) == []
