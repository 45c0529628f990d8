"""What the on-call service takes and answers; the console reads its answers by these."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

Severity = Literal["page", "ticket"]
Status = Literal["open", "acknowledged", "resolved"]
Text = Annotated[str, AfterValidator(lambda text: text.replace("\0", "\ufffd"))]
"""Without the one character that a database does not keep."""
Labels = Mapping[Text, Text]


class SentAlert(BaseModel):
    """An alert as Alertmanager sends it; fields that it may add are passed over."""

    status: Literal["firing", "resolved"]
    labels: Labels
    annotations: Labels = {}
    startsAt: Text = ""  # noqa: N815 - Alertmanager's names
    generatorURL: Text = ""  # noqa: N815
    fingerprint: Text = Field(min_length=1)


class SentGroup(BaseModel):
    """Alertmanager's webhook, version 4: all alerts of a group that fire or have just ended."""

    groupKey: Text = Field(min_length=1)  # noqa: N815
    commonLabels: Labels = {}  # noqa: N815
    commonAnnotations: Labels = {}  # noqa: N815
    truncatedAlerts: int = 0  # noqa: N815
    alerts: tuple[SentAlert, ...] = Field(min_length=1)


class Taken(BaseModel):
    """A notification that is on disk, and the incident that it is part of, if any."""

    incident: int | None


class Action(BaseModel):
    """Why something is done, and for whom where a service asks in a person's name."""

    model_config = ConfigDict(extra="forbid")

    note: Text = Field(default="", max_length=10_000)
    by: Text | None = Field(default=None, max_length=200, description="person, as the caller says")


class Note(Action):
    """Something to remember of an incident."""

    note: Text = Field(min_length=1, max_length=10_000)


class Incident(BaseModel):
    """What went wrong once, from the first alert of a group to the end of the last.

    Attributes:
        severity: `page` or `ticket`, the receiver that Alertmanager told.
        labels: Those that all alerts of the group share.
        level: Of the escalation, from 1; 0 before anybody was told.
        escalate_at: When the next level is told, unless somebody acknowledges.
    """

    id: int
    severity: Severity
    status: Status
    title: str
    summary: str
    runbook_url: str | None
    labels: Mapping[str, str]
    level: int
    escalate_at: AwareDatetime | None
    opened_at: AwareDatetime
    acknowledged_at: AwareDatetime | None
    acknowledged_by: str | None
    resolved_at: AwareDatetime | None


class Incidents(BaseModel):
    """A page of incidents, newest first; `next` is the `before` of the page after."""

    incidents: list[Incident]
    next: int | None


class KeptAlert(BaseModel):
    """An alert of an incident."""

    fingerprint: str
    status: Literal["firing", "resolved"]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: str
    generator_url: str


class SentMessage(BaseModel):
    """A notification: to whom, by what, and what became of it."""

    message_id: str
    transport: str
    target: str
    subject: str
    created_at: AwareDatetime
    sent_at: AwareDatetime | None
    attempts: int
    error: str | None


class IncidentDetail(Incident):
    """An incident with its alerts, notifications and trail."""

    alerts: list[KeptAlert]
    notifications: list[SentMessage]
    trail: list[dict[str, Any]]


class Responsible(BaseModel):
    """Who hears of an incident that begins now, at one level."""

    severity: Severity
    level: int
    who: str
    person: str
    name: str
    told_at: AwareDatetime


class OnCall(BaseModel):
    """Who is on call."""

    responsible: list[Responsible]
