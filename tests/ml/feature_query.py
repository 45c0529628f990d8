"""Features of one origin in SQL over a long panel: an oracle that shares no code with `ml.features`."""

import duckdb
import numpy as np
from numpy.typing import NDArray

from ml.history import History

EVENT_COLUMNS = ("orders", "buyers", "views", "carts", "returned_units", "largest_order", "active_days")
LAGS = {str(k): k for k in (1, 2, 3, 4, 5, 6, 9)} | {"before_season": 11, "season": 12, "after_season": 13}

_LAG = "max(units) FILTER (WHERE back = {k}) / level AS lag_{name}"
_WINDOW = """
    avg(units) FILTER (WHERE back <= {k}) / level AS mean_{k},
    stddev_pop(units) FILTER (WHERE back <= {k}) / level AS deviation_{k},
    max(units) FILTER (WHERE back <= {k}) / level AS largest_{k},
    quantile_cont(units, 0.5) FILTER (WHERE back <= {k}) / level AS median_{k},
    avg((units > 0)::INT) FILTER (WHERE back <= {k}) AS nonzero_share_{k}"""
_EVENT = """
    max({name}) FILTER (WHERE back = 1) / {per} AS {name}_1,
    avg({name}) FILTER (WHERE back <= 3) / {per} AS {name}_3"""

_GROWTH = """
CREATE MACRO limited(now, before) AS CASE WHEN before > 0 AND now > 10 * before THEN 10 ELSE now / nullif(before, 0) END
"""

_QUERY = """
WITH past AS (SELECT *, $origin - month AS back FROM panel WHERE month < $origin),
sized AS (
    SELECT *, greatest(avg(units) FILTER (WHERE back <= 12) OVER (PARTITION BY product), 0.25) + 0.25 AS level
    FROM past
),
shop AS (SELECT back, sum(units) AS units FROM past GROUP BY back),
kind AS (SELECT category, back, sum(units) AS units FROM past GROUP BY category, back),
context AS (
    SELECT category,
        (max(units) FILTER (WHERE back = 1)) AS c1, (max(units) FILTER (WHERE back = 2)) AS c2,
        (max(units) FILTER (WHERE back = 12)) AS c12, (max(units) FILTER (WHERE back = 13)) AS c13
    FROM kind GROUP BY category
),
whole AS (
    SELECT (max(units) FILTER (WHERE back = 1)) AS s1, (max(units) FILTER (WHERE back = 2)) AS s2,
        (max(units) FILTER (WHERE back = 12)) AS s12, (max(units) FILTER (WHERE back = 13)) AS s13 FROM shop
)
SELECT product,
    {lags},
    lag_1 - lag_2 AS momentum, {windows},
    sum(units * pow(0.8, back)) / sum(pow(0.8, back)) / level AS smoothed,
    avg(units) / level AS mean_all,
    count(units)::DOUBLE AS age_months,
    (min(back) FILTER (WHERE units > 0) - 1)::DOUBLE AS months_since_sale,
    ln(level) AS log_level,
    sin(2 * pi() * ($calendar % 12) / 12) AS month_sin,
    cos(2 * pi() * ($calendar % 12) / 12) AS month_cos,
    any_value(c1 / nullif(s1, 0)) AS category_share,
    any_value(limited(c1, c2)) AS category_growth,
    any_value(limited(c12, c13)) AS category_growth_last_year,
    any_value(limited(s1, s2)) AS shop_growth,
    any_value(limited(s12, s13)) AS shop_growth_last_year,
    avg(price) FILTER (WHERE back <= 12) AS price_cents,
    max(price) FILTER (WHERE back = 1) / price_cents AS relative_price,
    max(price) FILTER (WHERE back = 1) / max(price) FILTER (WHERE back = 2) AS price_change, {events}
FROM sized JOIN context USING (category) CROSS JOIN whole
GROUP BY product, level ORDER BY product
"""


def query_features(history: History, origin: int) -> dict[str, NDArray[np.float64]]:
    """Columns of every feature (and `product`, the row number) of products sold before month index `origin`."""
    product, month = np.nonzero(~np.isnan(history.units))
    columns = {"product": product, "month": month, "units": history.units[product, month]}
    columns |= {"price": history.price_cents[product, month]}
    columns |= {"category": np.array(history.categories)[product]}
    for name in EVENT_COLUMNS:
        values = history.extra.get(name)
        columns[name] = np.full(len(product), np.nan) if values is None else values[product, month]
    query = _QUERY.format(
        lags=",\n    ".join(_LAG.format(k=k, name=name) for name, k in LAGS.items()),
        windows=",".join(_WINDOW.format(k=k) for k in (3, 6, 12)),
        events=",".join(
            _EVENT.format(name=name, per="1" if name == "active_days" else "level") for name in EVENT_COLUMNS
        ),
    )
    calendar = int(history.months[0].astype(int)) + origin
    with duckdb.connect() as connection:
        connection.register("raw", columns)
        nulls = ", ".join(f"nullif({name}, 'NaN'::DOUBLE) AS {name}" for name in ("price", *EVENT_COLUMNS))
        copied = f"CREATE TABLE panel AS SELECT product, month, units, category, {nulls} FROM raw"  # noqa: S608
        connection.execute(copied)
        connection.execute(_GROWTH)
        found = connection.execute(query, {"origin": origin, "calendar": calendar}).fetchnumpy()
    return {name: np.ma.filled(np.ma.asarray(values, dtype=float), np.nan) for name, values in found.items()}
