"""What Argo CD gave to the cluster, by its interface: an account there may only get applications, and do no more."""

import re
from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, Field

from apps.console.figures import NAMESPACE

PATH = "/api/v1/applications"
FIELDS = (
    "items.metadata.name,items.status.sync.status,items.status.sync.revision,items.status.health.status,"
    "items.status.operationState.finishedAt,items.status.operationState.phase"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


class _Metadata(BaseModel):
    name: str


class _Sync(BaseModel):
    status: str = "Unknown"
    revision: str = ""


class _Health(BaseModel):
    status: str = "Unknown"


class _Operation(BaseModel):
    finishedAt: AwareDatetime | None = None  # noqa: N815 - Argo CD's name
    phase: str = ""


class _Status(BaseModel):
    sync: _Sync = Field(default_factory=_Sync)
    health: _Health = Field(default_factory=_Health)
    operationState: _Operation = Field(default_factory=_Operation)  # noqa: N815


class Application(BaseModel):
    """One application of Argo CD's interface."""

    metadata: _Metadata
    status: _Status = Field(default_factory=_Status)


class Applications(BaseModel):
    """All that the account may get; null where there are none."""

    items: tuple[Application, ...] | None = None


@dataclass(frozen=True)
class Synced:
    """What an environment was given last.

    Attributes:
        sync: `Synced`, `OutOfSync` or `Unknown`.
        health: `Healthy`, `Progressing`, `Degraded` and others.
        commit: Full id, None where Argo CD names none.
        at: When the last sync ended.
    """

    environment: str
    sync: str
    health: str
    commit: str | None
    at: datetime | None


def synced(found: Applications) -> tuple[Synced, ...]:
    """The environments among them; they are named for the namespace that they fill."""
    return tuple(
        Synced(
            each.metadata.name.removeprefix(NAMESPACE),
            each.status.sync.status,
            each.status.health.status,
            each.status.sync.revision if _COMMIT.fullmatch(each.status.sync.revision) else None,
            each.status.operationState.finishedAt,
        )
        for each in found.items or ()
        if each.metadata.name.startswith(NAMESPACE)
    )
