"""Which rows were refused, and why."""

from argparse import Namespace
from typing import Any

import polars as pl

from ml.lake import Lake
from ml.settings import MlSettings
from ml.verbs import Answer


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Refused rows by reason, most frequent first, with examples, the newest first."""
    rows = Lake(settings.lake).read("quarantine")
    for name in ("reason", "source"):
        if (wanted := getattr(options, name)) is not None:
            rows = rows.filter(pl.col(name) == wanted)
    refused = rows.collect()
    reasons = refused["reason"].value_counts(sort=True).sort("count", "reason", descending=[True, False])
    return Answer(
        {
            "rows": refused.height,
            "reasons": [
                _reason(refused.filter(pl.col("reason") == reason), reason, options.examples)
                for reason in reasons["reason"]
            ],
        }
    )


def _reason(rows: pl.DataFrame, reason: str, examples: int) -> dict[str, Any]:
    sources = rows["source"].value_counts().sort("count", "source", descending=[True, False])
    newest = rows.sort("refused_at", "row_id", descending=[True, False]).head(examples)
    at = pl.col("refused_at")
    first, last = rows.select(first=at.min(), last=at.max()).row(0)
    return {
        "reason": reason,
        "rows": rows.height,
        "sources": dict(sources.iter_rows()),
        "first": first.isoformat(),
        "last": last.isoformat(),
        "examples": newest.select("row_id", "source", "row").to_dicts(),
    }
