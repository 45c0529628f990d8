"""A panel against its events, added up again by DuckDB: another engine, SQL that shares nothing with it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import duckdb

from ml.errors import NotEnoughHistory
from ml.lake import Lake
from ml.settings import MlSettings

TOTALS: Final = ("units", "revenue_cents", "orders", "buyers")
SHOWN: Final = 10
_MEMORY: Final = "1GB"

_QUERY: Final = """
WITH learned AS (
    SELECT {distinct} * FROM read_parquet($files, union_by_name = true, hive_partitioning = false)
    ANTI JOIN aside USING (event_id)
    WHERE event_type = 'purchase'
),
found AS (
    SELECT product_id, date_trunc('month', occurred_at AT TIME ZONE $zone)::DATE AS month,
           sum(quantity)::BIGINT AS units, sum(quantity * unit_price_cents)::BIGINT AS revenue_cents,
           count(DISTINCT order_id) + count(*) FILTER (order_id IS NULL) AS orders,
           count(DISTINCT customer_id) AS buyers
    FROM learned GROUP BY 1, 2 HAVING month <= $last
),
compared AS (
    SELECT product_id, strftime(month, '%Y-%m') AS month, {pairs}
    FROM (SELECT *, true AS there FROM panel) p
    FULL JOIN (SELECT *, true AS there FROM found) f USING (product_id, month)
    WHERE coalesce(p.there, false) <> coalesce(f.there, p.units = 0 AND p.revenue_cents = 0) OR {differ}
)
SELECT *, count(*) OVER () AS differing FROM compared ORDER BY product_id, month LIMIT $shown
"""


@dataclass(frozen=True)
class Totals:
    """What the check found.

    Attributes:
        rows: Rows of the panel.
        differing: Products and months whose totals differ, or that only one side has.
        first: The first of them: `product_id`, `month` and of each total `[panel, events]`; null where a side has none.
    """

    rows: int
    events_version: int | None
    differing: int
    first: Sequence[Mapping[str, Any]]

    def to_json(self) -> dict[str, object]:
        """The answer as plain values for `json.dumps`."""
        return asdict(self)


def check_totals(lake: Lake, settings: MlSettings) -> Totals:
    """Compare units, revenue, orders and buyers of every product and month with those of the events there are now.

    Events that were set aside when the panel was built are left out. Events that came since then show as differences.

    Raises:
        NotEnoughHistory: There is no panel yet.
    """
    panel = lake.read("panel", ["product_id", "month", *TOTALS]).collect()
    if panel.height == 0:
        raise NotEnoughHistory("the lake has no panel to check; run `python -m ml panel` first")
    given = {
        "files": [str(file) for file in lake.files("events")],
        "zone": settings.shop_zone,
        "last": panel["month"].max(),
        "shown": SHOWN,
    }
    query = _QUERY.format(
        distinct="DISTINCT ON (event_id)" if settings.repeated_events else "",
        pairs=", ".join(f"[p.{name}, f.{name}] AS {name}" for name in TOTALS),
        differ=" OR ".join(f"coalesce(p.{name}, 0) <> coalesce(f.{name}, 0)" for name in TOTALS),
    )
    with duckdb.connect(config={"memory_limit": _MEMORY}) as db:
        db.execute("SET TimeZone = 'UTC'")
        db.register("panel", panel.to_arrow())
        db.register("aside", lake.read("set_aside").collect().to_arrow())
        found = db.execute(query, given)
        names = [column[0] for column in found.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    differing = rows[0].pop("differing") if rows else 0
    for row in rows[1:]:
        del row["differing"]
    return Totals(panel.height, lake.version("events"), differing, rows)
