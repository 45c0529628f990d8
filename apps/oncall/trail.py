"""The audit trail: every entry holds the digest of the one before, so what is changed or left out later shows."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import sqlalchemy as sa

from apps.oncall.tables import TRAIL

BEGINNING: Final = "0" * 64
"""What the first entry has for the digest of the one before."""
_FIELDS: Final = {"seq", "at", "who", "what", "incident", "detail", "previous"}


@dataclass(frozen=True)
class Broken:
    """The first line of an export at which the chain does not hold, and why."""

    line: int
    reason: str


def append(
    connection: sa.Connection,
    at: datetime,
    who: str,
    what: str,
    incident: int | None = None,
    **detail: Any,
) -> None:
    """Add an entry, in a transaction in which nobody else writes."""
    last = connection.execute(
        sa.select(TRAIL.c.seq, TRAIL.c.sha256).order_by(TRAIL.c.seq.desc()).limit(1)
    ).one_or_none()
    seq, previous = (1, BEGINNING) if last is None else (last.seq + 1, last.sha256)
    entry = json.dumps(
        {
            "seq": seq,
            "at": at.isoformat(),
            "who": who,
            "what": what,
            "incident": incident,
            "detail": detail,
            "previous": previous,
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    connection.execute(
        sa.insert(TRAIL).values(
            seq=seq, entry=entry, sha256=sha256(entry.encode()).hexdigest(), incident=incident
        )
    )


def entries(connection: sa.Connection, incident: int) -> list[dict[str, Any]]:
    """What happened to an incident, oldest first."""
    found = connection.execute(
        sa.select(TRAIL.c.entry).where(TRAIL.c.incident == incident).order_by(TRAIL.c.seq)
    )
    return [json.loads(row.entry) for row in found]


def exported(connection: sa.Connection, after: int = 0, limit: int = 10_000) -> list[str]:
    """Lines `{"entry": ..., "sha256": ...}` of the entries after a number, oldest first; the entry is text."""
    found = connection.execute(
        sa.select(TRAIL.c.entry, TRAIL.c.sha256).where(TRAIL.c.seq > after).order_by(TRAIL.c.seq).limit(limit)
    )
    return [json.dumps({"entry": row.entry, "sha256": row.sha256}) for row in found]


def verify(lines: Iterable[str]) -> Broken | None:
    """Where an export from the first entry on was changed, None when it holds.

    A tail that was cut off leaves a shorter chain that holds: compare the last digest with one that was kept elsewhere.
    """
    previous = BEGINNING
    for number, line in enumerate(lines, start=1):
        try:
            entry, digest = _read(line)
        except (ValueError, KeyError, TypeError) as error:
            return Broken(number, f"is no entry ({error})")
        if sha256(entry.encode()).hexdigest() != digest:
            return Broken(number, "is not what its digest was made of")
        said: Mapping[str, Any] = json.loads(entry)
        if set(said) != _FIELDS or said["seq"] != number or said["previous"] != previous:
            return Broken(number, "does not follow the line before")
        previous = digest
    return None


def _read(line: str) -> tuple[str, str]:
    found = json.loads(line)
    return str(found["entry"]), str(found["sha256"])
