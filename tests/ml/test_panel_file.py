"""Panel files become histories; what was changed is counted, what cannot be read is refused in one sentence."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml.errors import BadPanel
from ml.panel_file import MOST_CELLS, read_panel

JANUARY = date(2026, 1, 1)


def month(number: int) -> date:
    return date(2026, number, 1)


def write(path: Path, frame: pl.DataFrame) -> Path:
    file = path / "panel.parquet"
    frame.write_parquet(file)
    return file


def rows(*cells: tuple[Any, Any, Any]) -> pl.DataFrame:
    return pl.DataFrame(cells, schema=["series_id", "period", "quantity"], orient="row", strict=False)


def test_a_series_is_known_from_its_first_sale_to_its_last_row(tmp_path: Path) -> None:
    frame = rows(
        ("b", month(1), 0.0),
        ("b", month(2), 5.0),
        ("b", month(4), 2.5),
        ("a", month(5), 1.0),
        ("c", month(3), 0.0),
    )
    panel = read_panel(write(tmp_path, frame))
    nan = np.nan
    assert panel.history.product_ids == ("a", "b")
    np.testing.assert_array_equal(panel.history.units, [[nan, nan, nan, nan, 1], [nan, 5, 0, 2.5, nan]])
    assert [str(m) for m in panel.history.months] == [f"2026-0{k}" for k in range(1, 6)]
    assert panel.labels.to_list() == [month(k) for k in range(1, 6)]
    assert (panel.counts["series_without_sales"], panel.counts["series_that_ended"]) == (1, 1)


def test_rows_are_added_up_and_what_was_changed_is_counted(tmp_path: Path) -> None:
    frame = rows(
        ("a", month(1), 3.0),
        ("a", month(1), 4.0),
        ("a", month(2), -2.0),
        ("a", month(3), None),
        ("a", month(4), float("nan")),
        (None, month(4), 7.0),
        ("a", None, 7.0),
    )
    panel = read_panel(write(tmp_path, frame))
    np.testing.assert_array_equal(panel.history.units, [[7, 0, 0, 0]])
    assert {name: count for name, count in panel.counts.items() if count} == {
        "rows": 7,
        "rows_without_series_or_period": 2,
        "rows_of_the_same_series_and_period": 1,
        "missing_quantities": 2,
        "negative_quantities": 1,
    }


@pytest.mark.parametrize(
    "quantity",
    [
        pl.Series([1, 2, 3], dtype=pl.UInt8),
        pl.Series([1, 2, 3], dtype=pl.Float32),
        pl.Series([Decimal("1.0"), Decimal("2.0"), Decimal("3.0")]),
        pl.Series(["1", "2", "3.0"]),
    ],
    ids=lambda series: str(series.dtype),
)
@pytest.mark.parametrize(
    "period",
    [
        pl.Series([month(1), month(2), month(3)]),
        pl.Series([datetime(2026, k, 1, 5) for k in (1, 2, 3)]),  # noqa: DTZ001 - files have naive times
        pl.Series([datetime(2026, k, 1) for k in (1, 2, 3)]).dt.replace_time_zone("Europe/Paris"),  # noqa: DTZ001
        pl.Series(["2026-01-01", "2026-02-01", "2026-03-01"]),
        pl.Series(["2026-01", "2026-02", "2026-03"]),
        pl.Series(["2026-01-01T00:00:00", "2026-02-01T00:00:00", "2026-03-01T00:00:00"]),
    ],
    ids=lambda series: f"{series.dtype}-{series[0]}",
)
def test_any_number_and_any_date_is_read(tmp_path: Path, period: pl.Series, quantity: pl.Series) -> None:
    frame = pl.DataFrame({"series_id": [7, 7, 7], "period": period, "quantity": quantity})
    panel = read_panel(write(tmp_path, frame))
    assert panel.history.product_ids == ("7",)
    np.testing.assert_array_equal(panel.history.units, [[1, 2, 3]])
    assert panel.labels.to_list() == [month(1), month(2), month(3)]


def test_weeks_have_a_year_of_52_and_the_file_s_own_dates(tmp_path: Path) -> None:
    weeks = [JANUARY + timedelta(days=7 * k) for k in range(9) if k != 4]
    panel = read_panel(write(tmp_path, rows(*(("a", day, 1) for day in weeks))))
    assert (panel.history.season, panel.history.step, panel.history.T) == (52, 7, 9)
    assert panel.labels.to_list() == [JANUARY + timedelta(days=7 * k) for k in range(9)]
    assert str(panel.history.next_month) == "2026-03-05"


def test_month_ends_stay_month_ends(tmp_path: Path) -> None:
    ends = [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)]
    panel = read_panel(write(tmp_path, rows(*(("a", day, 1) for day in ends))), season=4)
    assert (panel.labels.to_list(), panel.history.season, panel.history.T) == (ends, 4, 3)


def test_categories_prices_and_event_columns_are_used_and_others_are_not(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "series_id": ["a", "a", "b"],
            "period": [month(1), month(2), month(2)],
            "quantity": [1, 2, 3],
            "category": [None, "bags", None],
            "price": [2.5, -1.0, None],
            "orders": [1, 2, 3],
            "revenue": [9.0, 9.0, 9.0],
        }
    )
    history = read_panel(write(tmp_path, frame)).history
    assert history.categories == ("bags", "unknown")
    np.testing.assert_array_equal(history.price_cents, [[250.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(history.extra["orders"], [[1, 2], [0, 3]])
    assert list(history.extra) == ["orders"]


@pytest.mark.parametrize(
    ("frame", "check", "says"),
    [
        (rows(("a", JANUARY, 1)).drop("period"), "missing-columns", "period"),
        (rows(("a", "spring", 1)), "unreadable-period", "spring"),
        (rows(("a", 202601, 1)), "unreadable-period", "Int64"),
        (rows(("a", JANUARY, "many")), "unreadable-number", "many"),
        (rows(("a", JANUARY, float("inf"))), "unreadable-number", "inf"),
        (rows(("a", JANUARY, 0), ("b", JANUARY, -2)), "nothing-sold", "above 0"),
        (
            rows(*((str(k), date(1000 + k, 1, 1 + k % 2), 1) for k in range(999))),
            "too-large",
            f"{MOST_CELLS:,}",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, frame: pl.DataFrame, check: str, says: str) -> None:
    with pytest.raises(BadPanel, match=says) as refused:
        read_panel(write(tmp_path, frame))
    assert refused.value.check == check
