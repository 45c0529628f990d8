"""Objectives as data: what `environments/base/observability/slo.yaml` may say, and what is refused in it."""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from scripts.errors import Refused

FOLDER = Path(__file__).parents[2] / "environments" / "base" / "observability"
FILE = FOLDER / "slo.yaml"

SHORTEST_PERIOD_SECONDS = 7 * 86_400
LARGEST_SHARE = 0.5
"""Of the budget that may be gone when an alert fires."""
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

Severity = Literal["page", "ticket", "none"]
Duration = Annotated[str, Field(pattern=r"^\d+[smhd]$")]


def seconds(duration: str) -> int:
    """Seconds of a duration of one unit, such as `30m`."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BurnRate(_Part):
    """One pair of windows: fires while both burn the budget `factor` times as fast as the period allows."""

    alert: str
    severity: Literal["page", "ticket"]
    factor: float = Field(ge=1)
    long: Duration
    short: Duration
    for_: Duration = Field(alias="for")

    @model_validator(mode="after")
    def _windows(self) -> Self:
        short, long = seconds(self.short), seconds(self.long)
        if not 4 * short <= long <= 24 * short:
            raise ValueError(
                f"{self.alert}: the short window {self.short} must be a 4th to a 24th of {self.long}"
            )
        if seconds(self.for_) > short:
            raise ValueError(
                f"{self.alert}: waiting {self.for_} is longer than the short window {self.short}"
            )
        return self


class Service(_Part):
    """A service and who answers for it; without a port it is no process that can be asked.

    `environments` says where it runs, where that is not in all of them.
    """

    owner: str
    port: int | None = None
    environments: list[str] | None = None


class Objective(_Part):
    """A share of good events that a service promises; `seconds` is the limit of a latency."""

    service: str
    name: Literal["availability", "latency", "reachable", "coverage", "success"]
    objective: float = Field(gt=0, lt=1)
    severity: Literal["page", "ticket"]
    seconds: float | None = None

    @property
    def budget(self) -> float:
        """Share of events that may fail."""
        return round(1 - self.objective, 9)

    @model_validator(mode="after")
    def _a_limit_of_a_latency(self) -> Self:
        if (self.name == "latency") != (self.seconds is not None):
            raise ValueError(
                f"{self.service} {self.name}: `seconds` belongs to a latency, and to nothing else"
            )
        return self


class Condition(_Part):
    """An alert that is no burn rate, with the promise that it watches."""

    alert: str
    objective: str
    expr: str
    for_: Duration = Field(alias="for")
    severity: Severity
    owner: str
    summary: str
    service: str = "{{ $labels.app_kubernetes_io_name }}"


class Kpi(_Part):
    """A figure recorded under a short name."""

    record: str = Field(pattern=r"^kpi:[a-z_]+:[a-z0-9]+$")
    expr: str


class Objectives(_Part):
    """The whole file."""

    period: Duration
    minimum_failures: int = Field(ge=2, description="with 1 a single failed request could fire")
    buckets: list[float] = Field(description="upper limits of the latency histogram, seconds")
    environments: list[str]
    runbook: str
    burn_rates: list[BurnRate]
    services: dict[str, Service]
    objectives: list[Objective]
    conditions: list[Condition]
    kpis: list[Kpi]

    @property
    def asked(self) -> list[tuple[str, str, int]]:
        """Environment, service and port of all that is a process, wherever it runs."""
        ports = {name: each.port for name, each in self.services.items() if each.port is not None}
        places = {name: self.services[name].environments or self.environments for name in ports}
        every = dict.fromkeys(place for each in places.values() for place in each)
        return [
            (place, name, port) for place in every for name, port in ports.items() if place in places[name]
        ]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        _refuse_repeated([f"{each.service} {each.name}" for each in self.objectives])
        _refuse_repeated(
            [*(each.alert for each in self.burn_rates), *(each.alert for each in self.conditions)]
        )
        if seconds(self.period) < SHORTEST_PERIOD_SECONDS:
            raise ValueError(f"a period of {self.period} has no budget to speak of; take 7d or more")
        for rate in self.burn_rates:
            spent = rate.factor * seconds(rate.long) / seconds(self.period)
            if spent > LARGEST_SHARE:
                raise ValueError(
                    f"{rate.alert} fires when {spent:.0%} of the budget is gone; that is too late"
                )
        for each in self.objectives:
            if each.service not in self.services:
                raise ValueError(f"{each.service} {each.name}: there is no such service")
            if each.seconds is not None and each.seconds not in self.buckets:
                raise ValueError(f"{each.service} latency: {each.seconds:g} s is no bucket of {self.buckets}")
            for rate in self.rates_of(each):
                _refuse_unreachable(each, rate)
        return self

    def rates_of(self, objective: Objective) -> list[BurnRate]:
        """The burn rates that watch an objective: all of them, or those that wake nobody."""
        return [each for each in self.burn_rates if objective.severity == "page" or each.severity == "ticket"]


def _refuse_repeated(names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"said twice: {', '.join(twice)}")


def _refuse_unreachable(objective: Objective, rate: BurnRate) -> None:
    needed = rate.factor * objective.budget
    if needed >= 1:
        raise ValueError(
            f"{objective.service} {objective.name}: with an objective of {objective.objective:g} {rate.alert} would "
            f"need {needed:.0%} of failures and can never fire; the lowest is {1 - 1 / rate.factor:.4f}"
        )


def read(text: str) -> Objectives:
    """The objectives in a text.

    Raises:
        Refused: They say something that no rule can hold, and what.
    """
    try:
        return Objectives.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        reasons = [
            f"{'.'.join(map(str, each['loc']))}: {re.sub('^Value error, ', '', each['msg'])}"
            for each in error.errors()
        ]
        raise Refused("bad_objectives", "; ".join(reasons)) from None
    except yaml.YAMLError as error:
        raise Refused("bad_objectives", f"this is not YAML: {error}") from None
