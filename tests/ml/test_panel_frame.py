"""The panel against SQL: DuckDB computes every column again from the same events."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ml.columns import EVENT_SCHEMA, PANEL_SCHEMA
from ml.errors import NotEnoughHistory
from ml.months import shop_month
from ml.panel_frame import panel_of
from ml.quality import check_panel
from ml.synthetic import make_events

ZONE = "Europe/Istanbul"
LAST = date(2026, 5, 1)

ORACLE = """
WITH e AS (
    SELECT *, date_trunc('month', occurred_at AT TIME ZONE 'Europe/Istanbul')::DATE AS month,
           (occurred_at AT TIME ZONE 'Europe/Istanbul')::DATE AS day
    FROM events
),
p AS (SELECT * FROM e WHERE event_type = 'purchase'),
spine AS (
    SELECT product_id, unnest(generate_series(min(month), $last, INTERVAL 1 MONTH))::DATE AS month
    FROM p WHERE month <= $last GROUP BY product_id
),
sales AS (
    SELECT product_id, month, sum(quantity) AS units, sum(quantity * unit_price_cents) AS revenue_cents,
           count(DISTINCT order_id) + count(*) FILTER (order_id IS NULL) AS orders,
           count(DISTINCT customer_id) AS buyers, count(DISTINCT day) AS active_days,
           sum(CASE WHEN campaign IS NULL THEN 0 ELSE quantity END) AS campaign_units
    FROM p GROUP BY ALL
),
largest AS (
    SELECT product_id, month, max(units) AS largest_order FROM (
        SELECT product_id, month, sum(quantity) AS units FROM p
        GROUP BY product_id, month, order_id, CASE WHEN order_id IS NULL THEN event_id END
    ) GROUP BY ALL
),
looks AS (
    SELECT product_id, month, count(*) FILTER (event_type = 'view') AS views,
           count(*) FILTER (event_type = 'cart') AS carts,
           sum(quantity) FILTER (event_type = 'return') AS returns_received
    FROM e GROUP BY ALL
),
booked AS (
    SELECT product_id, month, sum(quantity) AS returned_units FROM (
        SELECT r.product_id, r.quantity, coalesce(
            (SELECT min(p.month) FROM p WHERE p.order_id = r.order_id AND p.product_id = r.product_id),
            (SELECT max(p.month) FROM p WHERE p.customer_id = r.customer_id
             AND p.product_id = r.product_id AND p.occurred_at <= r.occurred_at),
            r.month) AS month
        FROM e r WHERE r.event_type = 'return'
    ) GROUP BY ALL
)
SELECT s.product_id,
       coalesce((SELECT p.category FROM p WHERE p.product_id = s.product_id AND p.month <= s.month
                 AND p.category <> 'unknown' ORDER BY p.occurred_at DESC, p.event_id DESC LIMIT 1), 'unknown')
           AS category,
       s.month, coalesce(units, 0) AS units, coalesce(returned_units, 0) AS returned_units,
       coalesce(returns_received, 0) AS returns_received, coalesce(revenue_cents, 0) AS revenue_cents,
       revenue_cents / units AS mean_price_cents, coalesce(orders, 0) AS orders, coalesce(buyers, 0) AS buyers,
       coalesce(views, 0) AS views, coalesce(carts, 0) AS carts, coalesce(largest_order, 0) AS largest_order,
       coalesce(active_days, 0) AS active_days, coalesce(campaign_units / units, 0.0)::DOUBLE AS campaign_share
FROM spine s
LEFT JOIN sales USING (product_id, month) LEFT JOIN largest USING (product_id, month)
LEFT JOIN looks USING (product_id, month) LEFT JOIN booked USING (product_id, month)
ORDER BY s.product_id, s.month
"""


def by_sql(events: pl.DataFrame, last: date) -> pl.DataFrame:
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.register("events", events.to_arrow())
        rows = db.execute(ORACLE, {"last": last}).fetchall()
    return pl.DataFrame(rows, schema=PANEL_SCHEMA, orient="row")


def by_polars(events: pl.DataFrame, last: date) -> pl.DataFrame:
    return panel_of(
        events.lazy().with_columns(shop_month(pl.col("occurred_at"), ZONE).alias("month")), last, ZONE
    )


def frame_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    usual = {
        "unit_price_cents": 100,
        "currency": "TRY",
        "category": "bags",
        "quantity": 1,
        "event_type": "purchase",
    }
    filled = [{"event_id": f"e-{place}"} | usual | row for place, row in enumerate(rows)]
    return pl.DataFrame(filled, schema=EVENT_SCHEMA)


def at(month: int, day: int, hour: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


event_rows = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(["purchase", "purchase", "return", "view", "cart"]),
        "occurred_at": st.integers(0, 170 * 24).map(lambda hours: at(1, 1, 0) + timedelta(hours=hours)),
        "product_id": st.sampled_from(["A", "B"]),
        "category": st.sampled_from(["bags", "garden", "unknown"]),
        "unit_price_cents": st.integers(1, 300),
        "quantity": st.integers(1, 9),
        "order_id": st.sampled_from([None, "o-1", "o-2"]),
        "customer_id": st.sampled_from([None, "c-1", "c-2"]),
        "campaign": st.sampled_from([None, "summer"]),
    }
)


@settings(max_examples=40, deadline=None)
@given(st.lists(event_rows, min_size=1, max_size=25))
def test_every_column_agrees_with_sql_on_any_events(rows: list[dict[str, Any]]) -> None:
    events = frame_of(rows)
    expected = by_sql(events, LAST)
    if expected.height == 0:
        with pytest.raises(NotEnoughHistory, match="no purchase up to the last complete month 2026-05"):
            by_polars(events, LAST)
        return
    panel = by_polars(events, LAST)
    assert_frame_equal(panel, expected)
    check_panel(panel)


def test_every_column_agrees_with_sql_on_a_whole_shop(tmp_path: Path) -> None:
    make_events(tmp_path, products=30, months=8)
    events = pl.read_parquet(tmp_path / "*.parquet").with_columns(source=pl.lit("x"), event_month=pl.lit("x"))
    panel = by_polars(events, date(2026, 10, 1))
    assert panel.schema == PANEL_SCHEMA
    assert all((panel[name] > 0).any() for name, kind in PANEL_SCHEMA.items() if kind.is_numeric())
    assert_frame_equal(panel, by_sql(events, date(2026, 10, 1)))


@settings(max_examples=40, deadline=None)
@given(st.lists(event_rows, min_size=1, max_size=25), st.lists(event_rows, max_size=10))
def test_later_events_leave_earlier_months_alone(
    rows: list[dict[str, Any]], others: list[dict[str, Any]]
) -> None:
    """But for `returned_units`, which is why no model sees that column."""
    march = at(3, 31, 21)
    early = [row for row in rows if row["occurred_at"] < march]
    late = [row for row in rows + others if row["occurred_at"] >= march]
    if not any(row["event_type"] == "purchase" for row in early):
        return
    known = by_polars(frame_of(early), date(2026, 3, 1)).drop("returned_units")
    later = by_polars(frame_of(early + late), LAST).drop("returned_units")
    products = known["product_id"].unique().implode()
    seen = later.filter((pl.col("month") <= date(2026, 3, 1)) & pl.col("product_id").is_in(products))
    assert_frame_equal(seen, known)


def test_a_return_is_booked_in_the_month_of_its_purchase() -> None:
    """By order, else by customer, else where it came; hand-worked."""
    bought = {"product_id": "A", "quantity": 5}
    back = {"product_id": "A", "event_type": "return"}
    panel = by_polars(
        frame_of(
            [
                bought | {"occurred_at": at(1, 5), "order_id": "o-1", "customer_id": "c-1"},
                bought | {"occurred_at": at(2, 5), "order_id": "o-2", "customer_id": "c-1"},
                bought | {"occurred_at": at(3, 5)},
                back | {"occurred_at": at(4, 1), "order_id": "o-1", "customer_id": "c-1", "quantity": 1},
                back | {"occurred_at": at(4, 1), "order_id": "gone", "customer_id": "c-1", "quantity": 2},
                back | {"occurred_at": at(4, 1), "quantity": 3},
            ]
        ),
        date(2026, 4, 1),
    )
    assert panel["returned_units"].to_list() == [1, 2, 0, 3]
    assert panel["returns_received"].to_list() == [0, 0, 0, 6]


def test_months_without_a_sale_are_zero_and_their_price_unknown() -> None:
    panel = by_polars(
        frame_of([{"product_id": "A", "occurred_at": at(month, 5)} for month in (1, 3)]), date(2026, 4, 1)
    )
    assert panel["units"].to_list() == [1, 0, 1, 0]
    assert panel["mean_price_cents"].to_list() == [100.0, None, 100.0, None]


def test_a_product_that_was_only_looked_at_has_no_rows() -> None:
    looked = {"product_id": "B", "occurred_at": at(1, 5), "event_type": "view"}
    panel = by_polars(frame_of([{"product_id": "A", "occurred_at": at(2, 5)}, looked]), date(2026, 2, 1))
    assert panel["product_id"].to_list() == ["A"]


def test_the_last_evening_of_a_month_belongs_to_the_shops_next_month() -> None:
    panel = by_polars(frame_of([{"product_id": "A", "occurred_at": at(1, 31, 21)}]), date(2026, 2, 1))
    assert panel["month"].to_list() == [date(2026, 2, 1)]
