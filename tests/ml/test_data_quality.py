"""Accepted and refused events are counted from the lake."""

from pathlib import Path

from ml.data_quality import data_quality
from ml.lake import Lake
from tests.ml.small_shop import good_rows, row, take, write


def test_a_lake_without_events_has_none(tmp_path: Path) -> None:
    assert data_quality(Lake(tmp_path)) == {
        "accepted": 0,
        "refused": 0,
        "reasons": {},
        "set_aside": {},
    }


def test_accepted_and_refused_rows_add_up_over_imports(tmp_path: Path) -> None:
    lake, good = Lake(tmp_path / "lake"), good_rows()
    bad = [row(order_id=f"bad-{number}", currency="???") for number in range(2)]
    report = take(write(tmp_path / "shop.parquet", [*good, *bad, row(order_id="bad-3", price=0.0)]), lake)
    assert report.refused == {"unknown_currency": 2, "price_not_positive": 1}
    found = data_quality(lake)
    assert found == {
        "accepted": len(good),
        "refused": 3,
        "reasons": report.refused,
        "set_aside": {},
    }
    assert list(found["reasons"]) == ["unknown_currency", "price_not_positive"]
