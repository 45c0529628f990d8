"""What fires now, as Alertmanager has it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter

from apps.console.figures import NAMESPACE

PATH = "/api/v2/alerts"
ASKED = {"active": "true", "silenced": "false", "inhibited": "false"}
WATCHDOG = "Watchdog"
"""Always fires; without it alarms may not arrive."""


class Alert(BaseModel):
    """One alert of Alertmanager's interface, version 2."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = Field(default_factory=dict)
    startsAt: AwareDatetime  # noqa: N815 - Alertmanager's name

    @property
    def name(self) -> str:
        """Of its rule."""
        return self.labels.get("alertname", "")


Alerts = TypeAdapter(tuple[Alert, ...])


@dataclass(frozen=True)
class Firing:
    """The alerts that concern an environment, pages first, then the oldest.

    Attributes:
        heard: Whether the watchdog fires, so the way of alarms is open.
    """

    alerts: tuple[Alert, ...]
    heard: bool


def firing(found: tuple[Alert, ...], environment: str) -> Firing:
    """Those of the environment, and those of none."""
    ours = NAMESPACE + environment
    told = [
        each
        for each in found
        if each.name != WATCHDOG
        and (each.labels.get("namespace", ours) == ours or not each.labels["namespace"].startswith(NAMESPACE))
    ]
    ordered = sorted(told, key=lambda each: (each.labels.get("severity") != "page", each.startsAt))
    return Firing(tuple(ordered), any(each.name == WATCHDOG for each in found))
