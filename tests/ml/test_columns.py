"""The tables of the lake agree with the event contract."""

import polars as pl

from ml.columns import CONTENT, EVENT_SCHEMA, EVENT_TYPES, PARTITIONS, SCHEMAS
from ml.event_rows import ROW_SCHEMA
from ml.events import Event, EventType


def test_the_events_table_has_every_field_of_an_event_and_where_it_came_from() -> None:
    assert list(EVENT_SCHEMA) == [*Event.model_fields, "source", "event_month"]


def test_two_events_are_compared_by_everything_but_the_id() -> None:
    assert set(CONTENT) == set(Event.model_fields) - {"event_id"}


def test_rows_of_a_source_have_every_field_of_an_event() -> None:
    assert set(Event.model_fields) <= set(ROW_SCHEMA)


def test_times_are_utc_and_money_is_whole_cents() -> None:
    assert EVENT_SCHEMA["occurred_at"] == pl.Datetime("us", "UTC")
    cents = {
        name: kind for schema in SCHEMAS.values() for name, kind in schema.items() if name.endswith("_cents")
    }
    assert {name for name, kind in cents.items() if kind != pl.Int64} == {"mean_price_cents"}


def test_partitions_are_columns_of_their_table() -> None:
    assert all(column in SCHEMAS[table] for table, column in PARTITIONS.items())


def test_event_types_are_stored_by_their_value() -> None:
    assert EVENT_TYPES == ("view", "cart", "purchase", "return")
    assert all(isinstance(kind, EventType) for kind in EVENT_TYPES)
