"""What the lake took and what it refused, in numbers for a reviewer."""

from typing import Any

import polars as pl

from ml.lake import Lake
from ml.outliers import counted


def data_quality(lake: Lake) -> dict[str, Any]:
    """Events `accepted`, rows `refused`, and the latter by reason, most frequent first.

    `set_aside` counts accepted events that the newest panel does not learn from, by reason.
    """
    refused = lake.read("quarantine", ["reason"]).group_by("reason").len().collect()
    reasons = dict(refused.sort("len", "reason", descending=[True, False]).iter_rows())
    return {
        "accepted": int(lake.read("events", ["event_id"]).select(pl.len()).collect().item()),
        "refused": sum(reasons.values()),
        "reasons": reasons,
        "set_aside": counted(lake.read("set_aside").collect()),
    }
