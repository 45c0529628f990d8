"""What each product sold in its last months and what had been forecast of them: files beside a snapshot.

A snapshot is held in memory for every request, and people look at the past of one product at a time. So the past of
all products lies in parts, each a JSON object by product id, of which a reader opens the one that it needs.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ml.forecasting import DIGITS, encoded
from ml.history import History

MOST_MONTHS: Final = 60
PRODUCTS_IN_PART: Final = 500

ToldBefore = Mapping[str, Sequence[Mapping[str, Any]]]
"""Past forecasts by product id, oldest first: `month`, `model_version`, `mean`, `p10`, `p90`."""


def part_of(product_id: str, parts: int) -> int:
    """In which of so many parts a product is, 0 to `parts` - 1."""
    digest = hashlib.sha256(product_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") % parts


def past_parts(history: History, told: ToldBefore) -> list[bytes]:
    """The parts, at least one; a product has an entry if it was sold by the end of the history.

    An entry has `first_month` (YYYY-MM), `units` of it and each month after it, of the last `MOST_MONTHS` ones, and
    `forecasts` as in `told`.
    """
    parts: list[dict[str, Any]] = [{} for _ in range(-(-history.n // PRODUCTS_IN_PART) or 1)]
    start = max(history.T - MOST_MONTHS, 0)
    months = [str(month) for month in history.months[start:]]
    for row, product_id in enumerate(history.product_ids):
        units = history.units[row, start:]
        sold = np.flatnonzero(~np.isnan(units))
        if not sold.size or np.isnan(units[-1]):
            continue
        parts[part_of(product_id, len(parts))][product_id] = {
            "first_month": months[sold[0]],
            "units": [_short(value) for value in units[sold[0] :].tolist()],
            "forecasts": list(told.get(product_id, ())),
        }
    return [encoded(part) for part in parts]


def told_before(rows: Sequence[Mapping[str, Any]]) -> ToldBefore:
    """Rows of `ml.forecast_table.newest_told` by their product."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        numbers = {name: _short(row[name]) for name in ("mean", "p10", "p90")}
        found[row["product_id"]].append(
            {"month": row["month"], "model_version": row["model_version"], **numbers}
        )
    return found


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else round(value, DIGITS)
