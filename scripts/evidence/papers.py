"""What a training leaves for the reviewer beside verdict and benchmark: small JSON files with the version."""

import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from ml.errors import ModelNotFound

CALIBRATION = "calibration.json"
DATA_QUALITY = "data_quality.json"
MONEY = "money.json"
SEGMENTS = "segments.json"

Count = Annotated[int, Field(ge=0)]
Number = FiniteFloat | None


class Paper(BaseModel):
    """A record of the training; a number without meaning is null."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Kind = TypeVar("Kind", bound=Paper)


class Interval(Paper):
    """How often the outcome fell into the interval that promised to hold it with share `level`."""

    level: FiniteFloat
    covered: Number


class Calibration(Paper):
    """Whether the intervals held what they promise, over the backtest's months."""

    observations: Count
    first_month: str
    last_month: str
    intervals: tuple[Interval, ...]


class Segment(Paper):
    """One part of the portfolio; losses are mean scaled pinball losses, `ratio` is loss over loss."""

    kind: str
    name: str
    observations: Count
    challenger: Number
    champion: Number
    ratio: Number


class Segments(Paper):
    """Challenger and what it was judged `against`, part by part."""

    against: str
    rows: tuple[Segment, ...]


class Margin(Paper):
    """Profit of the backtest's stock decisions at one critical ratio, as shares of that of perfect information.

    `gain` is the challenger's less the champion's, with the ends of its interval; `rules` are those of thumb.
    """

    ratio: FiniteFloat
    challenger: Number
    champion: Number
    gain: Number
    lower: Number
    upper: Number
    rules: dict[str, Number]


class Money(Paper):
    """What deciding by the challenger's forecasts would have earned, beside those it was judged `against`."""

    against: str
    rows: Count
    series: Count
    periods: tuple[str, ...]
    margins: tuple[Margin, ...]


class QualityGate(Paper):
    """What the quality gate said of the data, and why somebody let training go on where it had to be allowed."""

    verdict: str
    data_version: str
    created_at: str | None
    failed: tuple[str, ...]
    warned: tuple[str, ...]
    override: str | None


class DataQuality(Paper):
    """Events that the lake took, and rows that it refused, by reason; accepted events that were not learned from.

    Trainings from before there was a gate say nothing of it.
    """

    accepted: Count
    refused: Count
    reasons: dict[str, Count]
    set_aside: dict[str, Count] | None = None
    gate: QualityGate | None = None

    @model_serializer(mode="wrap")
    def _said(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what was not said, so that evidence from before keeps its bytes."""
        fields: dict[str, Any] = serialize(self)
        return {name: value for name, value in fields.items() if value is not None}


def read(artifact: Callable[[int, str], bytes], version: int, name: str, kind: type[Kind]) -> Kind | None:
    """A paper of a model version, None where the training kept none that can be read."""
    try:
        return kind.model_validate(json.loads(artifact(version, name)))
    except (ModelNotFound, ValidationError, ValueError):
        return None
