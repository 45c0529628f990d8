"""What a repository without a server keeps of a pull request, and what that means with the refs of now."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from scripts.forges.forge import PullRequest

HEADS = "refs/heads/"


@dataclass(frozen=True)
class Record:
    """What is stored of a pull request; times are ISO 8601."""

    number: int
    title: str
    body: str
    branch: str
    head: str
    author: str
    opened_at: str
    approvals: dict[str, str] = field(default_factory=dict)  # account -> head it approved
    comments: list[dict[str, str]] = field(default_factory=list)
    closed_by: str | None = None
    closed_at: str | None = None
    merge_commit: str | None = None


def shown(record: Record, refs: Mapping[str, str], trunk: Collection[str], remote: str) -> PullRequest:
    """A stored pull request as the refs of now make it."""
    merged, closed = record.merge_commit in trunk, record.closed_at is not None
    head = record.head if merged or closed else refs.get(HEADS + record.branch, record.head)
    return PullRequest(
        number=record.number,
        url=f"{remote}#{record.number}",
        title=record.title,
        body=record.body,
        branch=record.branch,
        head=head,
        state="merged" if merged else "closed" if closed else "open",
        author=record.author,
        approved_by=tuple(sorted(account for account, sha in record.approvals.items() if sha == head)),
        closed_by=record.closed_by if closed and not merged else None,
        closed_at=datetime.fromisoformat(record.closed_at) if record.closed_at and not merged else None,
        merge_commit=record.merge_commit if merged else None,
    )


def encoded(record: Record) -> bytes:
    """The record as it is stored."""
    return json.dumps(asdict(record), sort_keys=True, ensure_ascii=False).encode()


def decoded(data: bytes | None) -> Record:
    """The record in stored bytes."""
    fields: dict[str, Any] = json.loads(data or b"{}")
    return Record(**fields)
