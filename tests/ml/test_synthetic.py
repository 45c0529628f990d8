"""The made-up shop behaves like a shop, and the same arguments make the same one."""

from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ml.errors import BadEvents
from ml.events import Event
from ml.file_checks import ALLOWABLE
from ml.lake import Lake
from ml.months import shop_month
from ml.panel_frame import panel_of
from ml.quality import check_panel
from ml.synthetic import make_events
from ml.synthetic_month import COLUMNS, ZONE
from ml.synthetic_shop import CATEGORIES, make_shop
from tests.ml.small_shop import NOW, SETTINGS, take


def share(condition: pl.Series) -> float:
    """Share of rows where the condition holds."""
    return float(condition.to_numpy().mean())


def bought(file: Path) -> pl.DataFrame:
    return pl.read_parquet(file).filter(pl.col("event_type") == "purchase")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of the default size."""
    folder = tmp_path_factory.mktemp("shop")
    make_events(folder)
    return folder


@pytest.fixture(scope="module")
def events(folder: Path) -> pl.DataFrame:
    month = shop_month(pl.col("occurred_at"), ZONE).alias("month")
    return pl.read_parquet(folder / "*.parquet").with_columns(month)


@pytest.fixture(scope="module")
def panel(events: pl.DataFrame) -> pl.DataFrame:
    return panel_of(events.lazy(), date(2026, 10, 1), ZONE)


def test_the_report_and_the_files_agree(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    report = make_events(tmp_path, products=20, months=3, progress=lambda *step: seen.append(step))
    frames = [pl.read_parquet(file) for file in sorted(tmp_path.iterdir())]
    assert [file.name for file in sorted(tmp_path.iterdir())] == [
        f"2026-{month:02}.parquet" for month in (8, 9, 10, 11)
    ]
    assert report.to_json() == {
        "events": sum(frame.height for frame in frames),
        "files": 4,
        "products": 20,
        "first_month": "2026-08",
        "last_month": "2026-11",
    }
    assert seen[0] == (1, 4, "make 2026-08")
    assert len(seen) == 4


def test_a_shop_of_the_default_size_is_large_enough_to_learn_from(events: pl.DataFrame) -> None:
    assert 150_000 < events.height < 300_000
    assert events["product_id"].n_unique() >= 190
    assert events["event_id"].n_unique() == events.height


def test_every_row_is_an_event_as_the_contract_wants_it(folder: Path) -> None:
    frame = pl.read_parquet(folder / "2024-02.parquet")
    assert tuple(frame.columns) == COLUMNS == tuple(Event.model_fields)
    for fields in frame.sample(300, seed=1).to_dicts():
        Event.model_validate(fields)


def test_the_import_takes_every_row_without_an_option(folder: Path, tmp_path: Path) -> None:
    report = take(folder, Lake(tmp_path / "lake"), settings=SETTINGS.model_copy(update={"shop_zone": ZONE}))
    assert (report.accepted, report.refused, report.event_id_key) == (report.rows, {}, None)
    assert ALLOWABLE, "none of which was needed"


def test_the_last_day_is_the_last_event(events: pl.DataFrame) -> None:
    last = events.select(pl.col("occurred_at").dt.convert_time_zone(ZONE).max()).item()
    assert isinstance(last, datetime)
    assert last.date() == date(2026, 11, 20)
    assert last < NOW


def test_the_same_seed_makes_the_same_rows_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("two", 7), ("other", 8)):
        make_events(tmp_path / name, products=20, months=2, seed=seed)
    one, two, other = (pl.read_parquet(tmp_path / name / "*.parquet") for name in ("one", "two", "other"))
    assert_frame_equal(one, two)
    assert not one.equals(other)


def test_the_shop_is_pinned(tmp_path: Path) -> None:
    """Figures in documents were measured on it; a change of the generator must be seen."""
    report = make_events(tmp_path, products=20, months=2)
    assert report.events == 1205


def test_a_shift_multiplies_the_sales_of_one_month_and_leaves_the_past_alone(tmp_path: Path) -> None:
    make_events(tmp_path / "usual", products=120, months=4)
    make_events(tmp_path / "shifted", products=120, months=4, shift=(2.5, "2026-10"))
    before = ["2026-07.parquet", "2026-08.parquet", "2026-09.parquet"]
    for name in before:
        assert_frame_equal(
            pl.read_parquet(tmp_path / "usual" / name), pl.read_parquet(tmp_path / "shifted" / name)
        )
    usual, shifted = (bought(tmp_path / name / "2026-10.parquet") for name in ("usual", "shifted"))
    assert 2.1 < int(shifted["quantity"].sum()) / int(usual["quantity"].sum()) < 2.9
    assert not shifted["event_id"].is_in(usual["event_id"].implode()).any(), "other content needs other ids"


def test_a_shift_of_a_month_that_is_not_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadEvents, match="month '2026-12' is not between 2026-09 and 2026-11"):
        make_events(tmp_path, products=5, months=2, shift=(2, "2026-12"))


def test_a_tiny_shop_can_be_made(tmp_path: Path) -> None:
    assert make_events(tmp_path, products=1, months=1).files == 2


def test_returns_name_the_order_they_take_back(events: pl.DataFrame) -> None:
    back = events.filter(pl.col("event_type") == "return")
    bought = events.filter(pl.col("event_type") == "purchase")
    joined = back.join(bought, on=["order_id", "product_id"], suffix="_bought")
    assert back.height > 1000
    assert joined["event_id"].n_unique() == back.height
    waited = joined.filter(pl.col("event_id") == pl.format("{}-r", "event_id_bought"))
    assert waited.height == back.height
    assert (waited["quantity"] <= waited["quantity_bought"]).all()
    days = (waited["occurred_at"] - waited["occurred_at_bought"]).dt.total_days()
    assert days.is_between(1, 28).all()


def test_the_panel_is_fit_for_training_and_has_every_kind_of_product(panel: pl.DataFrame) -> None:
    check_panel(panel)
    shape = panel.group_by("product_id").agg(
        (pl.col("units") == 0).mean().alias("zeros"),
        pl.len().alias("months"),
        pl.col("units").tail(3).mean().alias("end"),
        pl.col("units").mean().alias("mean"),
        (
            pl.col("units").filter(pl.col("units") > 0).mean()
            / pl.col("orders").filter(pl.col("orders") > 0).mean()
        ).alias("per_order"),
    )
    assert share(shape["zeros"] < 0.05) > 0.5, "most sell every month"
    assert share(shape["zeros"] > 0.3) > 0.1, "some rarely"
    assert share(shape["per_order"] > 8) > 0.05, "some in bulk"
    assert share(shape["months"] < 30) > 0.08, "some are new"
    assert share(shape["end"] < 0.3 * shape["mean"]) > 0.03, "some fade"


def test_levels_follow_zipfs_law(panel: pl.DataFrame) -> None:
    units = panel.group_by("product_id").agg(pl.col("units").sum())["units"].sort(descending=True).to_numpy()
    assert units[:40].sum() > 0.45 * units.sum()


def test_each_category_has_its_own_season(panel: pl.DataFrame) -> None:
    months = panel.group_by("category", pl.col("month").dt.month().alias("month")).agg(pl.col("units").mean())
    peak = {
        category: months.filter(pl.col("category") == category).sort("units")["month"][-1]
        for category in CATEGORIES
    }
    assert peak["toys"] == 12
    assert peak["garden"] in (5, 6)
    assert peak["stationery"] == 9
    assert len(set(peak.values())) >= 4


def test_views_and_carts_know_next_months_demand(panel: pl.DataFrame) -> None:
    """Beyond what this month's sales tell: the correlation of changes, as the product's level cancels."""
    wide = panel.filter(pl.col("units").mean().over("product_id") > 20).with_columns(
        pl.col("units").log1p().diff().shift(-1).over("product_id").alias("growth"),
        (pl.col("views").log1p() - pl.col("orders").log1p()).alias("viewed"),
        (pl.col("carts").log1p() - pl.col("orders").log1p()).alias("carted"),
    )
    wide = wide.drop_nulls(["growth"])
    assert wide.select(pl.corr("viewed", "growth")).item() > 0.3
    assert wide.select(pl.corr("carted", "growth")).item() > 0.3


def test_lower_prices_sell_more_by_the_stated_elasticity() -> None:
    """Least squares of log demand on log price, inside products and months of the year, finds about 2."""
    shop = make_shop(400, np.arange(np.datetime64("2020-01", "M"), np.datetime64("2026-01", "M")), seed=3)
    sold = (shop.lines > 0).all(axis=1)
    demand = np.log(shop.lines[sold])
    price = np.log1p(-shop.discount[sold])
    season = np.log(np.array(list(CATEGORIES.values())))[shop.category[sold]][
        :, np.arange(demand.shape[1]) % 12
    ]
    x = price - price.mean(axis=1, keepdims=True)
    y = demand - season
    y -= y.mean(axis=1, keepdims=True)
    assert -(x * y).sum() / (x * x).sum() == pytest.approx(2.0, abs=0.25)
