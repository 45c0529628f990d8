"""The pull request's text: complete, under the forges' limit, and nothing in it can break out of its place."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.errors import Refused
from scripts.evidence import Evidence, Gate, Model, Verdict, Waiver
from scripts.pull_request import MAX_CHARACTERS, evidence_in, promotion_body
from scripts.release_file import Release

NOW = Release(image_tag="abc1234", model_version=11, model_sha256="a" * 64)
NEW = Release(image_tag="9c0d7e2", model_version=12, model_sha256="5f0c" * 16)
ROLLBACK = "python -m scripts.promote rollback --environment staging"


def evidence(**fields: object) -> Evidence:
    model = Model(
        candidate="mix",
        family="mixture",
        data_version="2026-10.0123456789ab",
        last_month="2026-10",
        code_commit="c" * 40,
        run_id="r1",
        registered_at="2026-11-01T00:00:00+00:00",
    )
    whole = Evidence(
        environment="staging",
        release=NEW,
        replaces=NOW,
        model=model,
        verdict=Verdict(answer="better", against="theta", ratio=0.9, lower=0.85, upper=0.95),
        benchmark=({"candidate": "mix", "wape": 0.41234}, {"candidate": "naive", "wape": None}),
        gates=(Gate(name="gate", passed=True, saw="better", needs="better"),),
        requested_by="ada",
    )
    return whole.model_copy(update=fields)


def test_the_text_says_what_moves_why_it_may_and_how_to_undo_it() -> None:
    diff = "--- a\n+++ b\n-        image: forecast:abc1234\n+        image: forecast:9c0d7e2\n"
    body = promotion_body(evidence(), diff=diff, rollback=ROLLBACK)
    for part in (
        "**staging: model 12, image 9c0d7e2**, asked for by ada.",
        "| image | `abc1234` | `9c0d7e2` |",
        "| model | `11` | `12` |",
        "## Risk: Medium",
        "- image and model move together",
        "| gate | yes | better | better |",
        "`mix` is **better** against `theta`: loss ratio 0.9000, bounds 0.8500 to 0.9500",
        "| candidate | wape |\n|---|---|\n| mix | 0.4123 |\n| naive | - |",
        "Trained on data version `2026-10.0123456789ab` until 2026-10",
        "- drift: not measured",
        "```diff\n" + diff + "```",
        ROLLBACK,
        evidence().sha256,
    ):
        assert part in body, part


@pytest.mark.parametrize(
    ("fields", "level", "reason"),
    [
        (
            {"release": NOW.model_copy(update={"model_version": 12, "model_sha256": "b" * 64})},
            "Low",
            "only the forecast pods restart",
        ),
        ({"release": NOW.model_copy(update={"image_tag": "x"})}, "Medium", "every service restarts"),
        ({}, "Medium", "image and model move together"),
        (
            {"replaces": NOW.model_copy(update={"model_version": 0})},
            "Medium",
            "first model of this environment",
        ),
        (
            {"verdict": Verdict(answer="non_inferior", against="x", ratio=1, lower=1, upper=1)},
            "Medium",
            "not proven better",
        ),
        (
            {
                "gates": (
                    Gate(name="gate", passed=False, saw="x", needs="y", waiver=Waiver(by="cy", reason="z")),
                )
            },
            "High",
            "waived by cy",
        ),
    ],
)
def test_the_risk_follows_from_what_moves_and_what_was_waived(
    fields: dict[str, object], level: str, reason: str
) -> None:
    found, reasons = evidence(**fields).risk
    assert found == level
    assert any(reason in each for each in reasons)


def test_without_verdict_and_benchmark_the_text_says_so() -> None:
    body = promotion_body(evidence(verdict=None, benchmark=()), diff=None, rollback=ROLLBACK)
    assert "No verdict was recorded" in body
    assert "No benchmark was recorded" in body
    assert "there was no kustomize where this was opened" in body


def test_an_empty_diff_is_flagged() -> None:
    assert "**Empty**: the rendered manifests of staging do not change." in promotion_body(
        evidence(), diff="", rollback="x"
    )


@pytest.mark.parametrize("diff", ["+x\n" * 500_000, "+" + "x" * 1_000_000, "+" + "`" * 29_000])
def test_a_diff_of_any_size_stays_under_the_limit(diff: str) -> None:
    rows = tuple({"candidate": f"c{index}", "wape": 0.5} for index in range(60))
    body = promotion_body(evidence(benchmark=rows), diff=diff, rollback=ROLLBACK)
    assert len(body) < MAX_CHARACTERS
    assert "30 more rows are in the evidence file." in body
    assert evidence_in(body) == evidence(benchmark=rows)


def test_a_cut_diff_says_how_much_is_left_out() -> None:
    body = promotion_body(evidence(), diff="+0123456789\n" * 5000, rollback=ROLLBACK)
    assert "The first 2500 of 5000 lines; `kustomize build environments/staging` shows all." in body


def test_evidence_that_no_pull_request_can_hold_is_refused() -> None:
    rows = tuple({"candidate": "c" * 200, "note": "x" * 3000} for _ in range(30))
    with pytest.raises(Refused, match="forges take 60000"):
        promotion_body(evidence(benchmark=rows), diff=None, rollback=ROLLBACK)


texts = st.text(st.sampled_from("`|<>@#*_[]()\\\n\r ~-\"'{}a1é\u2028"), min_size=1, max_size=40)


@settings(max_examples=40)
@given(texts, texts, texts)
def test_no_text_breaks_out_of_its_cell_or_its_block(saw: str, reason: str, name: str) -> None:
    row = {"candidate": "mix", name: saw}
    gates = (Gate(name="gate", passed=True, saw=saw, needs=reason),)
    verdict = Verdict(answer="better", against=name, ratio=0.9, lower=0.8, upper=1.0, reasons=(reason,))
    whole = evidence(gates=gates, verdict=verdict, benchmark=(row,))
    body = promotion_body(whole, diff=f"+{saw}", rollback=ROLLBACK)
    assert evidence_in(body) == whole
    (gate_row,) = [line for line in body.split("\n") if line.startswith("| gate | yes")]
    assert len(re.findall(r"(?<!\\)\|", gate_row)) == 5
    assert "<" not in gate_row


@pytest.mark.parametrize(
    "body", ["", "```json\n{}\n```", "```json\nnot json\n```", "```json\n{}\n```\n```json\n{}\n```"]
)
def test_a_text_without_its_one_block_is_refused(body: str) -> None:
    with pytest.raises(Refused, match="JSON block"):
        evidence_in(body)
