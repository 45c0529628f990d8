"""Evidence as it was written, perhaps years ago: only what is still asked of it, by key, whatever else is there.

`scripts.evidence.record` is today's whole model of it and refuses what it does not know; the digest in the commit
already pins every byte of a recorded file.
"""

import json
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from scripts.errors import Refused
from scripts.release_file import Release


class _Recorded(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RecordedWaiver(_Recorded):
    """Who passed over a gate."""

    by: str


class RecordedGate(_Recorded):
    """A condition as it was judged."""

    name: str
    passed: bool
    waiver: RecordedWaiver | None = None

    @property
    def opens(self) -> bool:
        """Whether the promotion could go on."""
        return self.passed or self.waiver is not None


class RecordedModel(_Recorded):
    """What the model was trained on, and when the training had ended and registered it."""

    registered_at: AwareDatetime
    data_version: str | None = None


class RecordedEvidence(_Recorded):
    """Of one promotion: where, from what to what, asked by whom, on which conditions; digests of images by service."""

    environment: str
    release: Release
    replaces: Release
    model: RecordedModel
    gates: tuple[RecordedGate, ...]
    images: dict[str, str] = Field(default_factory=dict)
    requested_by: str


def read(data: bytes) -> RecordedEvidence:
    """The facts in an evidence file.

    Raises:
        Refused: It is no JSON object, says a thing twice, or lacks one of the facts.
    """
    try:
        return RecordedEvidence.model_validate(unique_object(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "its start"
        raise Refused("bad_evidence", f"it cannot be read at {where}: {first['msg']}") from None


def unique_object(data: str | bytes) -> dict[str, Any]:
    """A JSON object; of a key that is there twice nobody knows which value a reader saw.

    Raises:
        Refused: It is something else.
    """
    try:
        value = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Refused("bad_json", f"it is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refused("bad_json", f"it is JSON of type {type(value).__name__}, not an object")
    return value


def same(one: str | bytes, other: str | bytes) -> bool:
    """Whether two texts are the same JSON object; 1, 1.0 and true are three values.

    Raises:
        Refused: One of them is no JSON object.
    """
    texts = [json.dumps(unique_object(each), sort_keys=True) for each in (one, other)]
    return texts[0] == texts[1]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} is there twice")
    return fields
