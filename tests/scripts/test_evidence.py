"""Evidence is one fixed text: written by promote, refused when anybody else touched it."""

import json
from pathlib import Path

import pytest

from ml.data_gate.report import required
from ml.data_quality import data_quality
from ml.lake import Lake
from scripts.errors import Refused
from scripts.evidence.papers import DataQuality
from scripts.evidence.record import Drift, Evidence, Waiver
from tests.scripts.test_pull_request import evidence


def test_the_bytes_are_the_same_for_the_same_facts_and_come_back() -> None:
    data = evidence().to_bytes()
    assert evidence().to_bytes() == data
    assert Evidence.from_bytes(data) == evidence()
    assert data.endswith(b"}\n")


def test_evidence_from_before_there_was_a_quality_gate_keeps_its_bytes() -> None:
    told = {"accepted": 9, "refused": 1, "reasons": {"missing_price": 1}}
    older = {**json.loads(evidence().to_bytes()), "data_quality": told}
    data = json.dumps(older, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    assert Evidence.from_bytes(data).to_bytes() == data


def test_what_training_writes_of_its_data_can_be_read(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    written = {**data_quality(lake), "gate": required(lake, "2026-10.0123456789ab", "a first try")}
    read = DataQuality.model_validate(json.loads(json.dumps(written)))
    assert read.gate is not None
    assert (read.gate.verdict, read.gate.override, read.set_aside) == ("not run", "a first try", {})


def test_evidence_from_before_money_was_measured_keeps_its_bytes() -> None:
    older = json.loads(evidence().to_bytes())
    del older["money"]
    data = json.dumps(older, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    assert Evidence.from_bytes(data).to_bytes() == data
    assert Evidence.from_bytes(data).money is None


def test_what_lasts_is_the_same_for_every_asker_and_at_any_time() -> None:
    drift = Drift(answer="no drift", query="drift")
    gates = tuple(gate.model_copy(update={"saw": "other numbers"}) for gate in evidence().gates)
    other = evidence(requested_by="bo", drift=drift, gates=gates)
    assert other.sha256 != evidence().sha256
    assert other.lasting_bytes() == evidence().lasting_bytes()


def test_what_lasts_has_waivers_needs_images_and_papers_in_it() -> None:
    (gate,) = evidence().gates
    waived = gate.model_copy(update={"waiver": Waiver(by="cy", reason="a holiday")})
    needier = gate.model_copy(update={"needs": "more"})
    for other in (
        evidence(gates=(waived,)),
        evidence(gates=(needier,)),
        evidence(images={"forecast": "sha256:1"}),
        evidence(verdict=None),
    ):
        assert other.lasting_bytes() != evidence().lasting_bytes()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "at its start"),
        (b"[]", "at its start"),
        (b"{}", "Field required"),
        (evidence().to_bytes().replace(b'"format": 1', b'"format": 2'), "at format"),
        (evidence().to_bytes().replace(b"0.41234", b"NaN"), "cannot be read"),
        (evidence().to_bytes().rstrip(), "was edited"),
        (json.dumps({**json.loads(evidence().to_bytes()), "more": 1}).encode(), "at more"),
        (
            json.dumps({**json.loads(evidence().to_bytes()), "requested_by": "a\nb"}).encode(),
            "at requested_by",
        ),
    ],
)
def test_other_bytes_are_refused_with_the_place(data: bytes, text: str) -> None:
    with pytest.raises(Refused, match=text):
        Evidence.from_bytes(data)


def test_what_is_not_finite_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        evidence(benchmark=({"candidate": "mix", "wape": float("nan")},)).to_bytes()
