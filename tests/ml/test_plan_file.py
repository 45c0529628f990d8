"""Plan files are read by the names planners use; each row is used, counted or refused in one sentence."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import BadPanel
from ml.history import History
from ml.plan_file import price_index, read_plan, with_plan

NAN = np.nan


def day(month: int) -> date:
    return date(2026, month, 1)


def write(folder: Path, columns: dict[str, Any]) -> Path:
    file = folder / "plan.parquet"
    pl.DataFrame(columns, strict=False).write_parquet(file)
    return file


def history() -> History:
    """Two products from January to March."""
    months = np.arange(np.datetime64("2026-01", "M"), np.datetime64("2026-04", "M"))
    return History(("a", "b"), ("x", "x"), months, np.ones((2, 3)), np.full((2, 3), NAN))


def test_values_stand_at_their_product_and_period_up_to_the_next_one(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        {
            "series_id": ["a", "b", "b", "c", "a", "a"],
            "period": [day(1), day(4), day(2), day(1), day(5), date(2025, 12, 1)],
            "price": [2.5, 1.0, None, 9.0, 9.0, 9.0],
            "promotion": [0.0, 0.5, 1.0, 9.0, 9.0, 9.0],
        },
    )
    planned, counts = with_plan(history(), read_plan(file))
    assert set(planned.plan) == {"price_cents", "promotion", "shop_price"}
    np.testing.assert_array_equal(planned.plan["price_cents"], [[250, NAN, NAN, NAN], [NAN, NAN, NAN, 100]])
    np.testing.assert_array_equal(planned.plan["promotion"], [[0, NAN, NAN, NAN], [NAN, 1, NAN, 0.5]])
    assert counts == {
        "rows_of_unknown_series": 1,
        "rows_of_other_periods": 1,
        "rows_after_the_next_period": 1,
        "rows_used": 3,
    }


@pytest.mark.parametrize(
    ("name", "means"),
    [("deal", "promotion"), ("Promo", "promotion"), ("feat", "advertising"), ("ad_spend", "advertising")],
)
def test_other_names_are_guessed_and_told(tmp_path: Path, name: str, means: str) -> None:
    plan = read_plan(write(tmp_path, {"SKU": ["a"], "Month": ["2026-01"], name: ["yes"]}))
    assert plan.columns == {"series_id": "SKU", "period": "Month", means: name}
    assert plan.rows[means].to_list() == [1.0]


def test_impossible_values_are_no_plan_and_counted(tmp_path: Path) -> None:
    columns = {
        "series_id": ["a", "a", "b", None],
        "period": [day(1), day(2), day(3), day(3)],
        "price": [0.0, -2.0, 3.0, 3.0],
        "advertising": [-1.0, 4.0, None, 1.0],
    }
    plan = read_plan(write(tmp_path, columns))
    assert plan.rows["price"].to_list() == [None, None, 3.0]
    assert plan.rows["advertising"].to_list() == [None, 4.0, None]
    assert {name: count for name, count in plan.counts.items() if count} == {
        "prices_not_above_zero": 2,
        "negative_advertising": 1,
        "rows": 4,
        "rows_without_series_or_period": 1,
    }


def test_the_same_row_twice_is_counted_and_another_plan_for_it_is_refused(tmp_path: Path) -> None:
    twice = {"series_id": ["a", "a"], "period": [day(1), day(1)], "price": [2.0, 2.0]}
    plan = read_plan(write(tmp_path, twice))
    assert (plan.rows.height, plan.counts["duplicated_rows"]) == (1, 1)
    with pytest.raises(BadPanel, match=r"'a' has two different plans for 2026-01-01") as refused:
        read_plan(write(tmp_path, twice | {"price": [2.0, 3.0]}))
    assert refused.value.check == "conflicting-plan"


@pytest.mark.parametrize(
    ("columns", "check"),
    [
        ({"period": [day(1)], "price": [1.0]}, "missing-columns"),
        ({"series_id": ["a"], "period": [day(1)], "colour": ["red"]}, "missing-columns"),
        ({"series_id": ["a"], "period": ["spring"], "price": [1.0]}, "unreadable-period"),
        ({"series_id": ["a"], "period": [day(1)], "price": ["cheap"]}, "unreadable-number"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, columns: dict[str, Any], check: str) -> None:
    with pytest.raises(BadPanel) as refused:
        read_plan(write(tmp_path, columns))
    assert refused.value.check == check


def test_a_plan_for_nobody_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    file = write(tmp_path, {"series_id": ["z"], "period": [day(1)], "price": [1.0]})
    planned, counts = with_plan(history(), read_plan(file))
    assert (planned.plan, counts["rows_used"]) == ({}, 0)


def test_the_price_index_is_the_mean_change_of_products_with_both_prices() -> None:
    prices = np.array([[100.0, 200.0, 100.0, NAN], [50.0, 100.0, 200.0, 400.0], [NAN, NAN, 10.0, 20.0]])
    np.testing.assert_allclose(price_index(prices), [1.0, 2.0, 2.0, 4.0])
    assert price_index(prices[:, :2]).tolist() == price_index(prices)[:2].tolist()


def test_an_absurd_price_leaves_the_index_finite() -> None:
    prices = np.array([[5e-324, 1e9, 5e-324, 1e9, 5e-324], [NAN] * 5])
    assert np.all(np.isfinite(price_index(prices)))
    assert np.all(price_index(prices[:, ::-1]) > 0)


cell = st.tuples(
    st.sampled_from(["a", "b", "z"]),
    st.integers(1, 6),
    st.none() | st.floats(-1e9, 1e9),
    st.none() | st.floats(-1, 1),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(cell, min_size=1, max_size=12))
def test_any_plan_is_taken_or_refused(tmp_path_factory: pytest.TempPathFactory, cells: list[Any]) -> None:
    series, months, prices, promotions = zip(*cells, strict=True)
    columns = {
        "series_id": list(series),
        "period": [day(month) for month in months],
        "price": pl.Series(prices, dtype=pl.Float64),
        "promotion": pl.Series(promotions, dtype=pl.Float64),
    }
    try:
        plan = read_plan(write(tmp_path_factory.mktemp("plan"), columns))
    except BadPanel as refused:
        assert refused.check == "conflicting-plan"  # noqa: PT017 - any other refusal is a defect
        return
    _, counts = with_plan(history(), plan)
    assert sum(counts.values()) + plan.counts["duplicated_rows"] == len(cells)
