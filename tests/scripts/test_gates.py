"""Gates are functions of evidence and rules: what opens for `open` opens for `check`, and nothing else does."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.errors import Refused
from scripts.evidence import gates
from scripts.evidence.gates import GateClosed
from scripts.evidence.papers import Money
from scripts.evidence.record import Drift, Evidence, Gate, Traffic, Verdict, Waiver
from scripts.evidence.rules import Rules, parse_rules
from tests.scripts.test_pull_request import NEW, evidence
from tests.scripts.world import ANYTHING_GOES, EARNED, FROM_STAGING, IMAGES

PRODUCTION = parse_rules(FROM_STAGING, "production")
STAGING = parse_rules(IMAGES, "staging")
LOCAL = parse_rules(ANYTHING_GOES, "local")
END = datetime(2026, 11, 1, 10, tzinfo=UTC)
DIGEST = f"sha256:{'a' * 64}"
CY = Waiver(by="cy", reason="a holiday that no model knows")


def traffic(**fields: Any) -> Traffic:
    whole = Traffic(
        environment="staging",
        namespace="shop-staging",
        release=NEW,
        since=END - timedelta(hours=1),
        until=END,
        pods=2,
        samples=480,
        longest_gap_seconds=15,
        requests=1000,
        error_share=0.01,
        p95_seconds=0.5,
        available_share=0.99,
        queries={},
    )
    return whole.model_copy(update=fields)


def for_production(**fields: Any) -> Evidence:
    whole = {
        "environment": "production",
        "images": {"forecast": DIGEST},
        "traffic": traffic(),
        "drift": Drift(answer="no drift", query="x"),
        "gates": (),
    }
    return evidence(**(whole | fields))


def closed(evidence: Evidence, rules: Rules = PRODUCTION) -> list[str]:
    return [gate.name for gate in gates.of(evidence, rules) if not gate.opens]


def test_what_is_just_within_its_limits_passes_every_gate() -> None:
    assert closed(for_production()) == []
    names = [gate.name for gate in gates.of(for_production(), PRODUCTION)]
    assert names == [
        *("better_than_champion", "benchmark", "profit", "images", "soak"),
        *("traffic", "latency", "errors", "availability", "drift"),
    ]


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        (LOCAL, ["better_than_champion", "benchmark", "profit"]),
        (STAGING, ["better_than_champion", "benchmark", "profit", "images"]),
    ],
)
def test_an_environment_has_the_gates_of_its_rules(rules: Rules, names: list[str]) -> None:
    assert [gate.name for gate in gates.of(for_production(), rules)] == names


def above(value: float) -> float:
    return math.nextafter(value, math.inf)


def below(value: float) -> float:
    return math.nextafter(value, -math.inf)


def earned(**fields: Any) -> Money:
    """The margin of `EARNED` beside one with other numbers."""
    (margin,) = EARNED["margins"]
    return Money.model_validate(EARNED | {"margins": [margin, margin | fields]})


SHUT: dict[str, tuple[dict[str, Any], str]] = {
    "no replayed decisions": ({"money": None}, "profit"),
    "decisions at no margin": ({"money": Money.model_validate(EARNED | {"margins": []})}, "profit"),
    "surely less profit at one margin": (
        {"money": earned(gain=-0.02, lower=-0.04, upper=below(0.0))},
        "profit",
    ),
    "a profit that is unknown": ({"money": earned(challenger=None)}, "profit"),
    "a gain that is unknown": ({"money": earned(upper=None)}, "profit"),
    "bounds that are not in order": ({"money": earned(upper=0.1)}, "profit"),
    "no image was looked up": ({"images": {}}, "images"),
    "an image without a digest": ({"images": {"forecast": DIGEST, "console": "latest"}}, "images"),
    "a digest too short": ({"images": {"forecast": DIGEST[:-1]}}, "images"),
    "no drift state": ({"drift": None}, "drift"),
    "drift": ({"drift": Drift(answer="drift", query="x")}, "drift"),
    "not enough data": ({"drift": Drift(answer="not enough data", query="x")}, "drift"),
    "one second too short": ({"traffic": traffic(since=END - timedelta(minutes=59, seconds=59))}, "soak"),
    "of another environment": ({"traffic": traffic(environment="local")}, "soak"),
    "of another release": ({"traffic": traffic(release=NEW.model_copy(update={"model_version": 3}))}, "soak"),
    "of no pod": ({"traffic": traffic(pods=0)}, "soak"),
    "with a gap": ({"traffic": traffic(longest_gap_seconds=above(90))}, "soak"),
    "one request too few": ({"traffic": traffic(requests=below(1000))}, "traffic"),
    "a bit too slow": ({"traffic": traffic(p95_seconds=above(0.5))}, "latency"),
    "faster than can be": ({"traffic": traffic(p95_seconds=-1)}, "latency"),
    "a bit too many errors": ({"traffic": traffic(error_share=above(0.01))}, "errors"),
    "fewer than no errors": ({"traffic": traffic(error_share=-0.01)}, "errors"),
    "a bit too often away": ({"traffic": traffic(available_share=below(0.99))}, "availability"),
    "a latency that is no number": ({"traffic": traffic(p95_seconds=math.nan)}, "latency"),
    "errors that are no number": ({"traffic": traffic(error_share=math.nan)}, "errors"),
    "requests without end": ({"traffic": traffic(requests=math.inf)}, "traffic"),
}


def test_less_profit_that_may_be_chance_closes_nothing() -> None:
    assert closed(for_production(money=earned(gain=-0.02, lower=-0.04, upper=0.0))) == []


def test_a_model_that_stays_needs_no_replay() -> None:
    kept = NEW.model_copy(update={"image_tag": "other"})
    assert closed(for_production(money=None, replaces=kept)) == []


@pytest.mark.parametrize("name", SHUT)
def test_what_is_just_outside_or_missing_closes_its_gate_alone(name: str) -> None:
    fields, gate = SHUT[name]
    assert closed(for_production(**fields)) == [gate]
    with pytest.raises(GateClosed) as caught:
        gates.judged(for_production(**fields), PRODUCTION, {})
    assert caught.value.reason == f"gate_{gate}"


def test_nothing_measured_closes_all_that_measure() -> None:
    assert closed(for_production(traffic=None)) == ["soak", "traffic", "latency", "errors", "availability"]


def test_judging_again_what_was_judged_gives_the_same() -> None:
    """As `check` does with what `open` wrote, waivers included."""
    unknown = for_production(drift=Drift(answer="not enough data", query="x"))
    for each, waivers in ((for_production(), {}), (unknown, {"drift": CY})):
        written = each.model_copy(update={"gates": gates.judged(each, PRODUCTION, waivers)})
        assert gates.of(Evidence.from_bytes(written.to_bytes()), PRODUCTION) == written.gates


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SHUT)), st.booleans())
def test_no_forged_gate_survives_judging_again(name: str, waived: bool) -> None:
    """Evidence whose gates say yes, or are waived, although its slots say no: not knowing may be waived, and money."""
    forged = for_production(**SHUT[name][0])
    yes = Gate(name=SHUT[name][1], passed=not waived, saw="fine", needs="fine", waiver=CY if waived else None)
    again = gates.of(forged.model_copy(update={"gates": (yes,)}), PRODUCTION)
    opened = [gate.name for gate in again if not gate.opens] == []
    assert opened == (waived and (name == "not enough data" or SHUT[name][1] == "profit"))


@pytest.mark.parametrize("name", ["soak", "latency", "errors", "traffic", "availability", "images", "bundle"])
def test_what_was_measured_cannot_be_waived(name: str) -> None:
    with pytest.raises(Refused, match=f"gate '{name}' cannot be waived; these can: better_than_champion, "):
        gates.judged(for_production(), PRODUCTION, {name: CY})


def test_who_asks_cannot_waive_where_another_approves() -> None:
    worse = for_production(verdict=Verdict(answer="worse", against="x", ratio=2, lower=1.5, upper=3))
    own = {"better_than_champion": Waiver(by="ada", reason="trust me")}
    with pytest.raises(Refused, match="ada asks for the promotion and waives better_than_champion"):
        gates.judged(worse, PRODUCTION, own)
    assert gates.judged(worse, STAGING, own)[0].waiver == own["better_than_champion"]


def test_a_refusal_names_what_was_seen_what_is_needed_and_the_way_out() -> None:
    with pytest.raises(GateClosed) as caught:
        gates.judged(for_production(drift=Drift(answer="not enough data", query="x")), PRODUCTION, {})
    text = str(caught.value)
    assert "refused by drift: not enough data; it needs no drift" in text
    assert '--waive drift --reason "…" --by NAME' in text
    with pytest.raises(GateClosed) as caught:
        gates.judged(for_production(traffic=traffic(p95_seconds=0.7)), PRODUCTION, {})
    assert "0.7 s at the 95th percentile; it needs at most 0.5 s" in str(caught.value)
    assert "--waive" not in str(caught.value)
