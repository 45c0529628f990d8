"""The evidence files that promotions left in Git, as far as the console shows them."""

import math

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

Cell = str | bool | int | FiniteFloat | None

CANDIDATE, LOSS = "candidate", "pinball"


class Facts(BaseModel):
    """Base of everything read from a file that another version may have written."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Verdict(Facts):
    """The paired test of challenger against champion; a `ratio` of losses below 1 is better."""

    answer: str
    against: str
    ratio: float | None = None
    lower: float | None = None
    upper: float | None = None
    reasons: tuple[str, ...] = ()


class Model(Facts):
    """What the model is and what it was made from."""

    candidate: str
    family: str
    data_version: str
    last_month: str
    code_commit: str = ""


class Waiver(Facts):
    """Who let a closed gate pass, and why."""

    by: str
    reason: str


class Gate(Facts):
    """One condition of the promotion and what it saw."""

    name: str
    passed: bool
    saw: str
    needs: str
    waiver: Waiver | None = None


class JudgedData(Facts):
    """What the quality gate said of the data, and why somebody let it pass where it had to be allowed."""

    verdict: str
    override: str | None = None


class DataTaken(Facts):
    """Events that the lake had taken by then, rows that it had refused and those not learned from, by reason."""

    accepted: int
    refused: int
    reasons: dict[str, int] = Field(default_factory=dict)
    set_aside: dict[str, int] | None = None
    gate: JudgedData | None = None


class Evidence(Facts):
    """Why a release was let in: the model, its test against what ran before, and the benchmark."""

    model: Model
    verdict: Verdict | None = None
    benchmark: tuple[dict[str, Cell], ...] = ()
    gates: tuple[Gate, ...] = ()
    data_quality: DataTaken | None = None
    requested_by: str = ""

    @property
    def row(self) -> dict[str, Cell] | None:
        """The benchmark row of the released model."""
        return self._row(self.model.candidate)

    @property
    def baseline(self) -> dict[str, Cell] | None:
        """The simplest forecast in the benchmark: last month again, or as a year ago."""
        return self._row("naive") or self._row("seasonal_naive")

    @property
    def ranked(self) -> list[dict[str, Cell]]:
        """The benchmark, best pinball loss first; rows without one stay last."""
        return sorted(self.benchmark, key=lambda row: _loss(row.get(LOSS)))

    def _row(self, name: str) -> dict[str, Cell] | None:
        return next((row for row in self.benchmark if row.get(CANDIDATE) == name), None)


def _loss(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else math.inf
