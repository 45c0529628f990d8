"""The panel by hand-written SQL on DuckDB: an oracle that shares no code with `ml.panel_parts`."""

from datetime import date

import duckdb
import polars as pl

from ml.columns import PANEL_SCHEMA, SET_ASIDE_SCHEMA
from tests.repository.imports import ROOT

SQL = (ROOT / "benchmarks" / "panel.sql").read_text()


def by_hand(events: pl.DataFrame, zone: str, last: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The panel, sorted, and what is set aside, sorted."""
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.register("events", events.to_arrow())
        db.execute(SQL.format(zone=zone, last=last))
        panel = db.execute("FROM panel ORDER BY product_id, month").fetchall()
        aside = db.execute("FROM aside ORDER BY event_id").fetchall()
    return (
        pl.DataFrame(panel, PANEL_SCHEMA, orient="row"),
        pl.DataFrame(aside, SET_ASIDE_SCHEMA, orient="row"),
    )
