"""What forecasts were worth: plans, costs and money by plain sums; a page with the numbers behind its pictures."""

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml.distribution import LEVELS
from ml.errors import SnapshotNotFound, StoreUnavailable
from ml.forecast_table import SCHEMA
from ml.history import History
from ml.impact.measure import Costs, Impact, impacts, outcomes
from ml.impact.page import to_json, write_page
from ml.lake import Lake

NOW = datetime(2026, 1, 5, tzinfo=UTC)
COSTS = Costs(short=0.4, left=0.1)
"""Of the price: the best stock covers 80 % of outcomes."""


def history() -> History:
    units = np.array([[5.0, 4.0, 10.0], [2.0, 3.0, 0.0], [np.nan, 7.0, 7.0]])
    price = np.array([[100.0, 200.0, 999.0], [np.nan, np.nan, np.nan], [np.nan, 300.0, 1.0]])
    months = np.arange(np.datetime64("2025-10"), np.datetime64("2026-01"))
    return History(("a", "b", "c"), ("x", "x", "y"), months, units, price)


def forecast(product: str, category: str, mean: float, quantile: float, last: float) -> dict[str, object]:
    """Certain demand: every quantile is the same."""
    return {
        "model_sha256": "a" * 64,
        "model_version": 1,
        "data_version": "2025-11.0123456789ab",
        "month": "2025-12",
        "product_id": product,
        "category": category,
        "mean": mean,
        **{f"q{level:.2f}": quantile for level in LEVELS},
        "last_month_units": last,
        "created_at": NOW,
    }


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    rows = [
        forecast("a", "x", 8.0, 8.0, 4.0),
        forecast("b", "x", 1.0, 1.0, 3.0),
        forecast("c", "y", 7.0, 7.0, 7.0),
    ]
    lake.append("forecasts", pl.DataFrame(rows, schema=SCHEMA))
    return lake


def found_in(lake: Lake) -> list[Impact]:
    return impacts(outcomes(lake, history(), COSTS), COSTS)


def by_place(found: list[Impact]) -> dict[tuple[str, str], Impact]:
    return {(each.month, each.category): each for each in found}


def test_units_and_money_by_hand(lake: Lake) -> None:
    """`a` sold 10 at 200: 2 short instead of 6. `b` sold 0, 1 left instead of 3, at the median price of 200."""
    found = by_place(found_in(lake))
    x = found["2025-12", "x"]
    assert (x.forecast.stock_out_units, x.forecast.overstock_units) == (2, 1)
    assert (x.naive.stock_out_units, x.naive.overstock_units) == (6, 3)
    assert x.forecast.cost_cents == pytest.approx(200 * (0.4 * 2 + 0.1 * 1))
    assert x.avoided_cents == pytest.approx(200 * (0.4 * 4 + 0.1 * 2))
    assert x.wape == pytest.approx(0.3)
    assert x.naive_wape == pytest.approx(0.9)
    assert x.value_added == pytest.approx(0.6)
    shop = found["2025-12", "shop"]
    assert (shop.products, shop.units, shop.avoided_cents) == (3, 17, x.avoided_cents)
    assert replace(found["all", "shop"], month="2025-12") == shop
    assert set(found) == {(m, c) for m in ("2025-12", "all") for c in ("shop", "x", "y")}


def test_stock_is_counted_in_whole_units_as_decisions_do(lake: Lake) -> None:
    """P(0) is 0.625 where a quarter sells a unit and a quarter between none and one: 0.6 is met by none, 0.8 by one."""
    seldom = dict(zip((f"q{level:.2f}" for level in LEVELS), (0, 0, 0, 0, 1, 1, 1, 1), strict=True))
    rows = [forecast(name, "x", 0.4, 0.0, 1.0) | seldom | {"month": "2025-12"} for name in "ab"]
    later = [row | {"created_at": NOW.replace(day=7)} for row in rows]
    lake.append("forecasts", pl.DataFrame(later, schema=SCHEMA))
    for short, stock in ((0.15, 0.0), (0.4, 1.0)):
        assert outcomes(lake, history(), Costs(short, 0.1))["stock"].to_list() == [stock] * 2


def test_the_newest_forecast_of_a_month_counts(lake: Lake) -> None:
    newer = forecast("a", "x", 10.0, 10.0, 4.0) | {
        "created_at": NOW.replace(day=6),
        "model_sha256": "b" * 64,
        "model_version": 2,
    }
    lake.append("forecasts", pl.DataFrame([newer], schema=SCHEMA))
    shop = by_place(found_in(lake))["all", "shop"]
    assert (shop.products, shop.wape) == (1, 0.0)


def test_a_month_without_sales_has_money_and_no_error(lake: Lake) -> None:
    still = history()
    still.units[:, 2] = 0
    shop = by_place(impacts(outcomes(lake, still, COSTS), COSTS))["all", "shop"]
    assert (shop.wape, shop.naive_wape, shop.value_added) == (None, None, None)
    assert shop.forecast.overstock_units == 16


def test_the_assumed_costs_are_those_of_decisions() -> None:
    """Cost 60 % of the price, half of it comes back, keeping a unit costs 2 % of it."""
    assert Costs.assumed() == Costs(pytest.approx(0.4), pytest.approx(0.6 * 0.52))  # type: ignore[arg-type]
    assert COSTS.ratio == pytest.approx(0.8)


def test_nothing_that_is_over_is_said(lake: Lake) -> None:
    with pytest.raises(SnapshotNotFound, match="come back"):
        outcomes(lake, history().until(2), COSTS)


class Cells(HTMLParser):
    """Texts of all table cells, and how many images there are."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.images = 0
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag in ("td", "th")
        self.images += tag == "img" and str(dict(attrs)["src"]).startswith("data:image/png;base64,iVBOR")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts.append(data.strip())

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


def test_the_page_has_pictures_and_their_numbers_and_escapes_names(lake: Lake, tmp_path: Path) -> None:
    report = to_json(found_in(lake), COSTS)
    report["categories"][0]["category"] = "<b>$x"
    write_page(report, tmp_path / "impact.html")
    text = (tmp_path / "impact.html").read_text()
    cells = Cells()
    cells.feed(text)
    assert cells.images == 3
    assert {"2025-12", "60.0%", "<b>$x"} <= set(cells.texts)
    assert "<b>$x" not in text
    assert report["months"][0]["categories"][1]["category"] == "y"
    with pytest.raises(StoreUnavailable, match="missing"):
        write_page(report, tmp_path / "missing" / "impact.html")
