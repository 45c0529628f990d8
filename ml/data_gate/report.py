"""The gate's report: kept in the lake, asked for by training, handed to the console through the model store."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from ml.columns import QUALITY_SCHEMA
from ml.data_gate.check import Check, Verdict
from ml.errors import QualityGateFailed
from ml.lake import Lake
from ml.model_store import QUALITY, ModelStore

TABLE: Final = "quality_reports"
HISTORY: Final = 60
"""Earlier verdicts that the console is told."""


@dataclass(frozen=True)
class Report:
    """What the gate said of one state of the lake.

    Attributes:
        verdict: The worst of the checks; `warn` lets training go on.
        data_version: Name of what training would learn from; None where there is no panel.
        as_of: The moment that the data was judged for.
        created_at: When it was judged.
        newest_event: None where there is none.
        checks: All of them.
    """

    verdict: Verdict
    data_version: str | None
    as_of: datetime
    created_at: datetime
    newest_event: datetime | None
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether training may go on."""
        return self.verdict != "fail" and self.data_version is not None

    def to_json(self) -> dict[str, Any]:
        """The report as plain values for `json.dumps`."""
        moments = {name: getattr(self, name) for name in ("as_of", "created_at", "newest_event")}
        told = {name: None if at is None else at.isoformat() for name, at in moments.items()}
        return asdict(self) | told | {"checks": [check.to_json() for check in self.checks]}


def keep(report: Report, lake: Lake, store: ModelStore) -> None:
    """Append the report to the lake, and put it with the verdicts before it where the forecast service finds it.

    Raises:
        StoreUnavailable: One of the two cannot be written.
    """
    with lake.lock():
        before = _stored(lake).head(HISTORY).to_dicts()
        lake.append(TABLE, pl.DataFrame([_row(report)], schema=QUALITY_SCHEMA))
    history = [
        {name: row[name] for name in ("verdict", "data_version")}
        | {"created_at": row["created_at"].isoformat()}
        for row in before
    ]
    store.put_report(QUALITY, json.dumps(report.to_json() | {"history": history}, allow_nan=False).encode())


def of_version(lake: Lake, data_version: str) -> dict[str, Any] | None:
    """The newest report on a data version as training records it, None where the gate was not run on it.

    `verdict`, `data_version`, `created_at`, and the names of the checks that `failed` or `warned`.
    """
    found = _stored(lake).filter(pl.col("data_version") == data_version).head(1).to_dicts()
    if not found:
        return None
    verdicts = {check["name"]: check["verdict"] for check in json.loads(found[0]["checks"])}
    return {
        "verdict": found[0]["verdict"],
        "data_version": data_version,
        "created_at": found[0]["created_at"].isoformat(),
        "failed": _with(verdicts, "fail"),
        "warned": _with(verdicts, "warn"),
    }


def required(lake: Lake, data_version: str, override: str | None) -> dict[str, Any]:
    """What the gate said of the data that is to be learned from, and the `override` where one was needed.

    Raises:
        QualityGateFailed: It failed, or was not run on this data version, and nobody gave a reason to go on.
    """
    found = of_version(lake, data_version)
    if found is not None and found["verdict"] != "fail":
        return {**found, "override": None}
    if override is not None:
        return {**(found or _never(data_version)), "override": override}
    if found is None:
        said = (
            f"the quality gate was not run on data version {data_version}; run `python -m ml quality` first"
        )
    else:
        said = f"data version {data_version} failed the quality gate at {', '.join(found['failed'])}; correct the data"
    raise QualityGateFailed(f'{said}, or go on with --allow-failed-quality "why"')


def _never(data_version: str) -> dict[str, Any]:
    return {
        "verdict": "not run",
        "data_version": data_version,
        "created_at": None,
        "failed": [],
        "warned": [],
    }


def _with(verdicts: dict[str, str], verdict: str) -> list[str]:
    return [name for name, found in verdicts.items() if found == verdict]


def _stored(lake: Lake) -> pl.DataFrame:
    """Every report, newest first."""
    return lake.read(TABLE).sort("created_at", descending=True).collect()


def _row(report: Report) -> dict[str, Any]:
    checks: Sequence[dict[str, Any]] = [check.to_json() for check in report.checks]
    return {
        "data_version": report.data_version,
        "verdict": report.verdict,
        "as_of": report.as_of,
        "created_at": report.created_at,
        "checks": json.dumps(checks, allow_nan=False),
    }
