"""The pull request's text: complete, under the forges' limit, and nothing in it can break out of its place."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.errors import Refused
from scripts.evidence.papers import Calibration, DataQuality, Interval, Money, QualityGate, Segment, Segments
from scripts.evidence.record import Drift, Evidence, Gate, Model, Traffic, Verdict, Waiver
from scripts.promotion.pull_request import MAX_CHARACTERS, evidence_in, promotion_body
from scripts.release_file import Release
from tests.scripts.world import EARNED

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
        gates=(Gate(name="better_than_champion", passed=True, saw="better", needs="better"),),
        money=Money.model_validate(EARNED),
        requested_by="ada",
    )
    return whole.model_copy(update=fields)


def test_the_text_says_what_moves_why_it_may_and_how_to_undo_it() -> None:
    diff = "--- a\n+++ b\n-        image: forecast:abc1234\n+        image: forecast:9c0d7e2\n"
    body = promotion_body(evidence(), diffs={"staging": diff}, rollback=ROLLBACK)
    for part in (
        "**staging: model 12, image 9c0d7e2**, asked for by ada.",
        "| image | `abc1234` | `9c0d7e2` |",
        "| model | `11` | `12` |",
        "## Risk: Medium",
        "- image and model move together",
        "| better_than_champion | yes | better | better |",
        "`mix` is **better** against `theta` in the paired test: loss ratio 0.9000, bounds 0.8500 to 0.9500",
        "| candidate | wape |\n|---|---|\n| mix | 0.4123 |\n| naive | - |",
        "trained on data version `2026-10.0123456789ab` until 2026-10",
        "| critical ratio | challenger | `naive` | difference | bounds | rules of thumb |",
        "| 0.9 | 81 % | 70 % | 11 % | 5 % to 17 % | point 69 %, safety\\_stock - |",
        "Drift: not measured.",
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
                    Gate(
                        name="better_than_champion",
                        passed=False,
                        saw="x",
                        needs="y",
                        waiver=Waiver(by="cy", reason="z"),
                    ),
                )
            },
            "High",
            "cy waived the gate",
        ),
    ],
)
def test_the_risk_follows_from_what_moves_and_what_was_waived(
    fields: dict[str, object], level: str, reason: str
) -> None:
    found, reasons = evidence(**fields).risk
    assert found == level
    assert any(reason in each for each in reasons)


def test_a_first_release_replaces_nothing() -> None:
    body = promotion_body(
        evidence(replaces=NOW.model_copy(update={"model_version": 0})), diffs=None, rollback="x"
    )
    assert "| image | none | `9c0d7e2` |\n| model | none | `12` |" in body
    assert "| data version | none | `2026-10.0123456789ab` |" in body


def test_images_are_shown_with_their_bytes_before_and_after() -> None:
    digests = {name: f"sha256:{name[0] * 64}" for name in ("collector", "decision")}
    images = {"images": digests, "replaced_images": {"decision": f"sha256:{'1' * 64}"}}
    body = promotion_body(
        evidence(**images, replaced_data_version="2026-09.aaaaaaaaaaaa"), diffs=None, rollback="x"
    )
    for row in (
        "| data version | `2026-09.aaaaaaaaaaaa` | `2026-10.0123456789ab` |",
        "| bytes of `collector` | not recorded | `sha256:cccccccccccc…` |",
        "| bytes of `decision` | `sha256:111111111111…` | `sha256:dddddddddddd…` |",
    ):
        assert row in body


PAPERS = {
    "calibration": Calibration(
        observations=7200,
        first_month="2026-05",
        last_month="2026-10",
        intervals=(Interval(level=0.5, covered=0.4973), Interval(level=0.8, covered=None)),
    ),
    "segments": Segments(
        against="theta",
        rows=(
            Segment(kind="size", name="small", observations=2400, challenger=0.3, champion=0.25, ratio=1.2),
            Segment(
                kind="category", name="a | <b>", observations=9, challenger=0.0, champion=0.0, ratio=None
            ),
        ),
    ),
    "data_quality": DataQuality(accepted=1_234_567, refused=12, reasons={"x": 2, "price_not_positive": 10}),
    "drift": Drift(answer="not enough data", query="x"),
    "traffic": Traffic(
        environment="staging",
        namespace="shop-staging",
        release=NEW,
        since=datetime(2026, 11, 1, 9, tzinfo=UTC),
        until=datetime(2026, 11, 1, 10, tzinfo=UTC),
        pods=2,
        samples=480,
        longest_gap_seconds=15,
        requests=36_012.4,
        error_share=0.000333,
        p95_seconds=0.0451,
        available_share=1,
        queries={"requests": "sum(x)"},
    ),
}


def test_every_slot_that_is_filled_is_shown() -> None:
    body = promotion_body(evidence(**PAPERS), diffs=None, rollback="x")
    for part in (
        "7,200 forecasts of 2026-05 to 2026-10, made without knowing them:",
        "| 50 % | 49.7 % |\n| 80 % | - |",
        "| part | forecasts | challenger's loss | loss of `theta` | ratio |",
        "| size: small | 2,400 | 0.3000 | 0.2500 | **1.2000** |",
        r"| category: a \| &lt;b> | 9 | 0.0000 | 0.0000 | - |",
        "Quality: 1,234,567 events accepted, 12 rows refused.\n\n- price\\_not\\_positive: 10\n- x: 2",
        "Drift: **not enough data**, the worst that the pods said",
        "staging ran exactly this release from 2026-11-01 09:00:00 to 2026-11-01 10:00:00 UTC",
        "| seen serving it | 2 pods, 480 observations, at most 15 s apart |\n| requests | 36,012 |",
        "| status 5xx | 0.0333 % |\n| 95th percentile | 45.1 ms |\n| scrapes answered | 100 % |",
    ):
        assert part in body, part
    assert evidence_in(body) == evidence(**PAPERS)


JUDGED = QualityGate(
    verdict="warn",
    data_version="2026-10.0123456789ab",
    created_at="2026-11-01T09:00:00+00:00",
    failed=(),
    warned=("volume",),
    override=None,
)
ALLOWED = JUDGED.model_copy(update={"verdict": "fail", "failed": ("price_jumps",), "override": "a | <sale>"})


def test_what_the_quality_gate_said_is_shown() -> None:
    quality = DataQuality(accepted=9, refused=0, reasons={}, set_aside={"giant_order": 1}, gate=JUDGED)
    body = promotion_body(evidence(data_quality=quality), diffs=None, rollback="x")
    assert "Quality gate of data version `2026-10.0123456789ab`: warn.\n\n- warned: volume" in body
    assert evidence_in(body) == evidence(data_quality=quality)


def test_a_model_of_data_that_failed_shows_who_allowed_it_why_and_a_high_risk() -> None:
    quality = DataQuality(accepted=9, refused=0, reasons={}, gate=ALLOWED)
    shown = evidence(data_quality=quality)
    body = promotion_body(shown, diffs=None, rollback="x")
    assert r"`2026-10.0123456789ab`: **fail**, and training was allowed: a \| &lt;sale>." in body
    assert r"- failed: price\_jumps" in body
    level, reasons = shown.risk
    assert level == "High"
    assert reasons[0] == "trained although the quality gate of its data says fail: a | <sale>"


def test_every_slot_that_is_empty_says_so() -> None:
    body = promotion_body(evidence(), diffs=None, rollback="x")
    assert body.count("Not measured.") == 3
    assert "Quality: not measured." in body
    assert "Drift: not measured." in body


def test_the_manifests_of_every_environment_that_changes_are_shown_each_with_its_part_of_the_room() -> None:
    body = promotion_body(
        evidence(), diffs={"staging": "+a: 1\n", "production": "", "local": "+b: 2\n"}, rollback="x"
    )
    assert "The rendered manifests of staging change in these lines:\n\n```diff\n+a: 1\n```" in body
    assert "**Empty**: the rendered manifests of production do not change." in body
    assert "The rendered manifests of local change in these lines:\n\n```diff\n+b: 2\n```" in body
    long = {name: f"+{name}\n" * 20_000 for name in ("staging", "production", "local")}
    body = promotion_body(evidence(**PAPERS), diffs=long, rollback="x")
    assert len(body) < MAX_CHARACTERS
    shown = [body.count(f"\n+{name}") for name in long]
    assert all(count > 500 for count in shown)


def test_diffs_make_way_for_a_long_evidence() -> None:
    rows = tuple({"candidate": f"c{index}", "note": "x" * 900} for index in range(30))
    body = promotion_body(evidence(benchmark=rows), diffs={"staging": "+x\n" * 90_000}, rollback="x")
    assert 59_500 < len(body) <= MAX_CHARACTERS
    assert evidence_in(body).benchmark == rows


def test_without_verdict_and_benchmark_the_text_says_so() -> None:
    body = promotion_body(evidence(verdict=None, benchmark=()), diffs=None, rollback=ROLLBACK)
    assert "No verdict was recorded" in body
    assert "No benchmark was recorded" in body
    assert "there was no kustomize where this was opened" in body


def test_an_empty_diff_is_flagged() -> None:
    assert "**Empty**: the rendered manifests of staging do not change." in promotion_body(
        evidence(), diffs={"staging": ""}, rollback="x"
    )


@pytest.mark.parametrize("diff", ["+x\n" * 500_000, "+" + "x" * 1_000_000, "+" + "`" * 29_000])
def test_a_diff_of_any_size_stays_under_the_limit(diff: str) -> None:
    rows = tuple({"candidate": f"c{index}", "wape": 0.5} for index in range(60))
    body = promotion_body(evidence(benchmark=rows), diffs={"staging": diff}, rollback=ROLLBACK)
    assert len(body) < MAX_CHARACTERS
    assert "30 more rows are in the evidence file." in body
    assert evidence_in(body) == evidence(benchmark=rows)


def test_a_cut_diff_says_how_much_is_left_out() -> None:
    body = promotion_body(evidence(), diffs={"staging": "+0123456789\n" * 5000}, rollback=ROLLBACK)
    assert "staging, the first 2500 of 5000 lines; `kustomize build environments/staging` shows all:" in body


def test_evidence_that_no_pull_request_can_hold_is_refused() -> None:
    rows = tuple({"candidate": "c" * 200, "note": "x" * 3000} for _ in range(30))
    with pytest.raises(Refused, match="forges take 60000"):
        promotion_body(evidence(benchmark=rows), diffs=None, rollback=ROLLBACK)


texts = st.text(st.sampled_from("`|<>@#*_[]()\\\n\r ~-\"'{}a1é\u2028"), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(texts, texts, texts)
def test_no_text_breaks_out_of_its_cell_or_its_block(saw: str, reason: str, name: str) -> None:
    row = {"candidate": "mix", name: saw}
    gates = (Gate(name="better_than_champion", passed=True, saw=saw, needs=reason),)
    verdict = Verdict(answer="better", against=name, ratio=0.9, lower=0.8, upper=1.0, reasons=(reason,))
    whole = evidence(gates=gates, verdict=verdict, benchmark=(row,))
    body = promotion_body(whole, diffs={"staging": f"+{saw}"}, rollback=ROLLBACK)
    assert evidence_in(body) == whole
    (gate_row,) = [line for line in body.split("\n") if line.startswith("| better_than_champion | yes")]
    assert len(re.findall(r"(?<!\\)\|", gate_row)) == 5
    assert "<" not in gate_row


@pytest.mark.parametrize(
    "body", ["", "```json\n{}\n```", "```json\nnot json\n```", "```json\n{}\n```\n```json\n{}\n```"]
)
def test_a_text_without_its_one_block_is_refused(body: str) -> None:
    with pytest.raises(Refused, match="JSON block"):
        evidence_in(body)
