"""The evidence of a promotion: one JSON file that says what moves, why it may, and who asked.

It stands beside the release file and is committed with it; its digest stands in the commit. It holds no clock
and no path, so asking twice writes the same bytes.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, ValidationError

from scripts.errors import Refused
from scripts.release_file import Release

Person = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f<>:]{1,100}$", strip_whitespace=True)]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,1000}$", strip_whitespace=True)]
Number = FiniteFloat | None
Row = dict[str, str | bool | int | FiniteFloat | None]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Verdict(_Facts):
    """The paired test of challenger against champion; `ratio` is loss over loss, below 1 is better."""

    answer: str
    against: str
    ratio: Number
    lower: Number
    upper: Number
    reasons: tuple[str, ...] = ()


class Model(_Facts):
    """What the model is and what it was made from."""

    candidate: str
    family: str
    data_version: str
    last_month: str
    code_commit: str
    run_id: str
    registered_at: str


class Waiver(_Facts):
    """A person's word that a gate may be passed over."""

    by: Person
    reason: Line


class Gate(_Facts):
    """One condition and what it saw. A waived gate keeps its failure in sight."""

    name: str
    passed: bool
    saw: str
    needs: str
    waiver: Waiver | None = None

    @property
    def opens(self) -> bool:
        """Whether the promotion may go on."""
        return self.passed or self.waiver is not None


class Evidence(_Facts):
    """Everything a reviewer needs to know about one promotion.

    `calibration`, `drift`, `data_quality` and `traffic` are slots: None means not measured, and the pull
    request says so.
    """

    format: Literal[1] = 1
    environment: str
    release: Release
    replaces: Release
    model: Model
    verdict: Verdict | None
    benchmark: tuple[Row, ...]
    gates: tuple[Gate, ...]
    images: dict[str, str] = Field(default_factory=dict)
    calibration: dict[str, Any] | None = None
    drift: dict[str, Any] | None = None
    data_quality: dict[str, Any] | None = None
    traffic: dict[str, Any] | None = None
    requested_by: Person

    def to_bytes(self) -> bytes:
        """The file's content: sorted keys, two spaces, one newline at the end."""
        fields = self.model_dump(mode="json")
        text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return f"{text}\n".encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Evidence":
        """The evidence in a file.

        Raises:
            Refused: It is not evidence, or was not written by `to_bytes`.
        """
        try:
            evidence = cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "its start"
            raise Refused("bad_evidence", f"evidence cannot be read at {where}: {first['msg']}") from None
        if evidence.to_bytes() != data:
            raise Refused("bad_evidence", "evidence was edited: promote writes it in other bytes")
        return evidence

    @property
    def sha256(self) -> str:
        """Digest of the file."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def anonymous_bytes(self) -> bytes:
        """The same content whoever asks for this promotion."""
        return self.model_copy(update={"requested_by": "anyone"}).to_bytes()

    @property
    def moves(self) -> tuple[str, ...]:
        """What the release changes: `image`, `model`, or both."""
        image = self.release.image_tag != self.replaces.image_tag
        model = (self.release.model_version, self.release.model_sha256) != (
            self.replaces.model_version,
            self.replaces.model_sha256,
        )
        return tuple(name for name, changed in (("image", image), ("model", model)) if changed)

    @property
    def risk(self) -> tuple[str, tuple[str, ...]]:
        """Low, Medium or High, and each reason for it."""
        high = [f"gate {gate.name} is waived by {gate.waiver.by}" for gate in self.gates if gate.waiver]
        medium = ["first model of this environment"] if not self.replaces.has_model else []
        if self.verdict and self.verdict.answer == "non_inferior" and "model" in self.moves:
            medium.append("the model is not worse, and not proven better")
        if len(self.moves) > 1:
            medium.append("image and model move together, so a fault does not say which caused it")
        if "image" in self.moves:
            medium.append("every service restarts")
        low = ["only the forecast pods restart"] if self.moves == ("model",) else []
        level = "High" if high else "Medium" if medium else "Low"
        return level, (*high, *medium, *low)
