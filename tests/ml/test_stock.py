"""Days without stock: taken from a file, used by the next panel, and told with the forecast."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.__main__ import main
from ml.errors import BadEvents
from ml.lake import Lake
from ml.panel import build_panel, load_history
from ml.stock import StockReport, import_stock, stock_note
from tests.ml.small_shop import NOW, SETTINGS, good_rows, row, take, write


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    late = [row(product_id="C", event_time="2026-09-02T00:00:00Z")]
    rows = [item | {"event_time": str(item["event_time"])} for item in (*good_rows(), *late)]
    take(write(tmp_path / "shop.parquet", rows), lake, timezone="UTC")
    return lake


def stock(tmp_path: Path, *rows: tuple[Any, Any, Any]) -> Path:
    file = tmp_path / "stock.csv"
    pl.DataFrame(rows, schema=["product_id", "month", "days_out"], orient="row").write_csv(file)
    return file


def test_a_month_without_stock_gets_its_demand_and_a_data_version_of_its_own(
    lake: Lake, tmp_path: Path
) -> None:
    before = build_panel(lake, SETTINGS, NOW)
    plain = load_history(lake)
    report = import_stock(stock(tmp_path, (" a ", "2026-08", 31), ("B", "2026-07", 3)), lake)
    assert report == StockReport(rows=2, known=2, changed=2)
    after = build_panel(lake, SETTINGS, NOW)
    found = load_history(lake)
    assert found.units[0].tolist() == [6.0, 7.0, round(8 + 6.55)], "what was sold, and a usual month"
    assert found.units[1:].tolist() == plain.units[1:].tolist(), "three days of 31 are not censored"
    assert after.data_version != before.data_version
    assert lake.read("panel").filter(pl.col("product_id") == "A").collect()["units"].sort().to_list() == [
        6,
        7,
        8,
    ]
    assert load_history(lake, "2026-07").units.tolist() == plain.until(2).units.tolist()


def test_the_forecast_says_what_it_rests_on(lake: Lake, tmp_path: Path) -> None:
    build_panel(lake, SETTINGS, NOW)
    assert stock_note(lake, load_history(lake)) == {"stock_data": "no stock data"}
    import_stock(stock(tmp_path, ("A", "2026-08", 31), ("B", "2026-07", 3), ("GONE", "2026-07", 30)), lake)
    note = stock_note(lake, load_history(lake))
    assert note["stock_data"] == "days out of stock"
    assert note["censored_months"] == {"A": ["2026-08"]}


def test_the_same_file_again_changes_nothing_and_a_later_row_replaces(lake: Lake, tmp_path: Path) -> None:
    file = stock(tmp_path, ("A", "2026-08", 31))
    import_stock(file, lake)
    version = lake.version("stock")
    assert import_stock(file, lake).changed == 0
    assert lake.version("stock") == version
    assert import_stock(stock(tmp_path, ("A", "2026-08-01", 2)), lake).changed == 1
    assert lake.read("stock").collect().row(0) == ("A", date(2026, 8, 1), 2.0)


@pytest.mark.parametrize(
    "rows",
    [
        [("A", "2026-02", 29)],
        [("A", "2026-02", -1)],
        [("A", "2026-02", "many")],
        [("A", "soon", 1)],
        [("", "2026-02", 1)],
        [("A", "2026-02", 1), ("a", "2026-02-01", 2)],
    ],
    ids=["more than the month has", "negative", "no number", "no month", "no product", "twice"],
)
def test_a_wrong_row_refuses_the_file(lake: Lake, tmp_path: Path, rows: list[tuple[Any, Any, Any]]) -> None:
    with pytest.raises(BadEvents, match="row 1"):
        import_stock(stock(tmp_path, *rows), lake)
    assert not lake.exists("stock")


def test_a_file_without_a_column_is_refused(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "stock.csv"
    file.write_text("product_id,month\nA,2026-08\n")
    with pytest.raises(BadEvents, match="days_out"):
        import_stock(file, lake)


def test_the_verb_prints_what_it_took_or_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ML_STATE", str(tmp_path / "state"))
    assert main(["stock", "--file", str(stock(tmp_path, ("A", "2026-08", 31)))]) == 0
    assert json.loads(capsys.readouterr().out) == {"rows": 1, "known": 1, "changed": 1}
    assert main(["stock", "--file", str(stock(tmp_path, ("A", "2026-08", 32)))]) == 1
    assert json.loads(capsys.readouterr().out)["check"] == "stock-row"
