"""The evidence of a promotion: one JSON file that says what moves, why it may, and who asked.

It stands beside the release file and is committed with it; its digest stands in the commit. Asking twice
finds the first: apart from what was measured over the soak it holds no clock and no path.
"""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    ValidationError,
)

from scripts.errors import Refused
from scripts.evidence.papers import Calibration, DataQuality, Money, Segments
from scripts.release_file import Release

Person = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f<>:]{1,100}$", strip_whitespace=True)]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,1000}$", strip_whitespace=True)]
Number = FiniteFloat | None
DriftAnswer = Literal["no drift", "drift", "not enough data"]
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
    waivable: bool = False
    waiver: Waiver | None = None

    @property
    def opens(self) -> bool:
        """Whether the promotion may go on."""
        return self.passed or self.waiver is not None


class Traffic(_Facts):
    """How an environment ran one release from `since` to `until`, as its Prometheus saw it.

    Attributes:
        samples: Observations of the release on its `pods`, at most `longest_gap_seconds` apart.
        requests: Answered, without probes and scrapes; `error_share` of them with status 5xx.
        available_share: Of the scrapes of all its pods, those that were answered.
        queries: What was asked, by the name of the answer.
    """

    environment: str
    namespace: str
    release: Release
    since: AwareDatetime
    until: AwareDatetime
    pods: int
    samples: int
    longest_gap_seconds: FiniteFloat
    requests: FiniteFloat
    error_share: FiniteFloat
    p95_seconds: FiniteFloat
    available_share: FiniteFloat
    queries: dict[str, str]


class Drift(_Facts):
    """The worst that the environment said of its data over the soak."""

    answer: DriftAnswer
    query: str


class Evidence(_Facts):
    """Everything a reviewer needs to know about one promotion.

    `images` are digests by service, `replaced_images` those of the release before. `calibration`, `segments`,
    `data_quality`, `money`, `drift` and `traffic` are slots: None means not measured, and the pull request says so.
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
    replaced_images: dict[str, str] = Field(default_factory=dict)
    replaced_data_version: str | None = None
    calibration: Calibration | None = None
    segments: Segments | None = None
    data_quality: DataQuality | None = None
    money: Money | None = None
    drift: Drift | None = None
    traffic: Traffic | None = None
    requested_by: Person

    def to_bytes(self) -> bytes:
        """The file's content: sorted keys, two spaces, one newline at the end."""
        # Evidence from before money was measured has no such key, and must keep its bytes.
        fields = self.model_dump(mode="json", exclude={"money"} if self.money is None else None)
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

    def lasting_bytes(self) -> bytes:
        """The same content whoever asks for this promotion, and whenever.

        Neither the asker is in it nor what was measured at that moment; what the gates need and who waived one are.
        """
        fields = self.model_dump(mode="json", exclude={"requested_by", "traffic", "drift", "gates"})
        fields["needs"] = {gate.name: gate.needs for gate in self.gates}
        waivers = {gate.name: gate.waiver.model_dump() for gate in self.gates if gate.waiver}
        return json.dumps({**fields, "waivers": waivers}, sort_keys=True, allow_nan=False).encode()

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
        high = [f"{gate.waiver.by} waived the gate {gate.name}" for gate in self.gates if gate.waiver]
        judged = self.data_quality.gate if self.data_quality and "model" in self.moves else None
        if judged is not None and judged.override is not None:
            high.append(
                f"trained although the quality gate of its data says {judged.verdict}: {judged.override}"
            )
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
