"""The versions of MLflow's registry with the papers of their training, of which some more are read each time."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import FiniteFloat, ValidationError

from apps.console.evidence import Facts, Verdict
from apps.console.model_registry import RegisteredVersion
from ml.errors import ModelNotFound

NEWEST = 10_000
READ_FIRST, READ_AT_A_TIME = 5, 20
"""Versions whose papers are read at the first time, and at each that follows."""
MAY_COME = 5
"""Newest versions without papers that are asked again, besides those with an alias."""


class Level(Facts):
    """Of one quantile: shares of the outcomes below it and up to it; a right forecast has `level` between them."""

    level: FiniteFloat
    below: FiniteFloat | None
    up_to: FiniteFloat | None


class Interval(Facts):
    """How often outcomes fell into the interval that promised to hold the share `level`."""

    level: FiniteFloat
    covered: FiniteFloat | None


class Backtested(Facts):
    """What a training left of its backtest; `pit` are the shares in each equal part of 0 to 1."""

    levels: tuple[Level, ...] = ()
    pit: tuple[FiniteFloat, ...] | None = None
    observations: int = 0
    first_month: str = ""
    last_month: str = ""


class Calibrated(Facts):
    """How true the intervals were."""

    intervals: tuple[Interval, ...] = ()


class Papers(Facts):
    """What a training left; None for what it did not, or in a form that this release cannot read."""

    verdict: Verdict | None
    backtest: Backtested | None
    calibration: Calibrated | None

    @property
    def are_there(self) -> bool:
        """Whether any could be read."""
        return any((self.verdict, self.backtest, self.calibration))


@dataclass(frozen=True)
class Version:
    """A registered version; without papers they were not asked for yet."""

    registered: RegisteredVersion
    aliases: tuple[str, ...]
    papers: Papers | None


@dataclass(frozen=True)
class Registered:
    """Versions, newest first."""

    versions: tuple[Version, ...]

    def find(self, number: int) -> Version | None:
        """The version of this number, None where it is not among the newest."""
        return next((each for each in self.versions if each.registered.version == number), None)


class Registry(Protocol):
    """Where versions and papers are."""

    def newest(self, most: int, /) -> list[tuple[RegisteredVersion, tuple[str, ...]]]:
        """Versions with their aliases, newest first."""

    def artifact_of(self, run_id: str, name: str, /) -> bytes:
        """A file kept with a run; `ModelNotFound` when there is none."""


def registered(registry: Registry, known: Registered | None) -> Registered:
    """All versions; papers that are `known` are not read again, they never change."""
    have = {each.registered: each.papers for each in known.versions if each.papers} if known else {}
    left = READ_AT_A_TIME if known else READ_FIRST
    versions = []
    for place, (version, aliases) in enumerate(registry.newest(NEWEST)):
        papers = have.get(version)
        wanted = papers is None or (not papers.are_there and (aliases or place < MAY_COME))
        if wanted and (left or aliases):
            papers, left = _papers(registry, version.run_id), max(0, left - 1)
        versions.append(Version(version, aliases, papers))
    return Registered(tuple(versions))


def _papers(registry: Registry, run_id: str) -> Papers:
    verdict, backtest, calibration = _read(registry, run_id, ("verdict", "backtest", "calibration"))
    return Papers(
        verdict=_as(Verdict, verdict),
        backtest=_as(Backtested, backtest),
        calibration=_as(Calibrated, calibration),
    )


def _read(registry: Registry, run_id: str, names: Iterable[str]) -> list[Any]:
    found: list[Any] = []
    for name in names:
        try:
            found.append(json.loads(registry.artifact_of(run_id, f"{name}.json")))
        except (ModelNotFound, ValueError):
            found.append(None)
    return found


def _as(kind: type[Any], document: Any) -> Any:
    try:
        return None if document is None else kind.model_validate(document)
    except ValidationError:
        return None
