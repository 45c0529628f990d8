"""The conditions of a promotion: pure functions of what the evidence holds and the environment's rules.

Each fails closed: missing, not finite or unknown is a no with a reason. `promote open` and `promote check`
call the same functions, so what one wrote the other finds again.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scripts.errors import Refused
from scripts.evidence.papers import Margin
from scripts.evidence.record import Evidence, Gate, Traffic, Verdict, Waiver
from scripts.evidence.rules import Limits, Rules

WAIVABLE = ("better_than_champion", "benchmark", "profit", "drift")
"""What a named person may pass over; drift only while there is not enough data to judge it."""

NOT_FINITE = ("nan", "inf", "-inf")  # how evidence writes them, since JSON cannot

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class GateClosed(Refused):
    """A gate says no and nobody waived it."""

    def __init__(self, gate: Gate) -> None:
        message = f"the promotion is refused by {gate.name}: {gate.saw}; it needs {gate.needs}"
        way_out = f'; a named person can pass it over: --waive {gate.name} --reason "…" --by NAME'
        super().__init__(f"gate_{gate.name}", message + (way_out if gate.waivable else ""))
        self.gate = gate


def of(evidence: Evidence, rules: Rules) -> tuple[Gate, ...]:
    """Every gate of a promotion, with the waivers that the evidence names where they are needed and allowed.

    Equal to `evidence.gates` unless somebody changed the evidence, the rules or the judge.
    """
    return _waived(_all(evidence, rules), {gate.name: gate.waiver for gate in evidence.gates if gate.waiver})


def judged(evidence: Evidence, rules: Rules, waivers: Mapping[str, Waiver]) -> tuple[Gate, ...]:
    """The gates of a promotion, every one of them open.

    Raises:
        GateClosed: One says no and is not waived.
        Refused: A waiver names a gate that does not exist or cannot be waived, or comes from who asks where
            another person has to approve.
    """
    unknown = sorted(set(waivers) - set(WAIVABLE))
    if unknown:
        raise Refused("bad_waiver", f"gate {unknown[0]!r} cannot be waived; these can: {', '.join(WAIVABLE)}")
    own = [name for name, waiver in waivers.items() if waiver.by == evidence.requested_by]
    if own and rules.needs_approval:
        asker = evidence.requested_by
        raise Refused(
            "bad_waiver", f"{asker} asks for the promotion and waives {own[0]}; the approver waives"
        )
    gates = _waived(_all(evidence, rules), waivers)
    closed = next((gate for gate in gates if not gate.opens), None)
    if closed:
        raise GateClosed(closed)
    return gates


def _waived(gates: Sequence[Gate], waivers: Mapping[str, Waiver]) -> tuple[Gate, ...]:
    return tuple(
        gate.model_copy(update={"waiver": waivers.get(gate.name)})
        if gate.waivable and not gate.passed
        else gate
        for gate in gates
    )


def _all(evidence: Evidence, rules: Rules) -> list[Gate]:
    gates = [_better(evidence), _benchmark(evidence), _profit(evidence)]
    if rules.images:
        gates.append(_images(evidence))
    if rules.limits is not None:
        gates += [_soak(evidence, rules, rules.limits), *_health(evidence.traffic, rules.limits)]
        gates.append(_drift(evidence))
    return gates


def _better(evidence: Evidence) -> Gate:
    """Whether the paired test lets the model in.

    A first model of an environment must be better than what it was judged against (the naive baseline, as no
    champion was there); later ones must not be worse. An image-only release brings no model to judge.
    """
    good = ("better", "non_inferior") if evidence.replaces.has_model else ("better",)
    needs = f"answer {' or '.join(good)}, finite ratio and bounds in order"
    verdict = evidence.verdict
    if "model" not in evidence.moves:
        return _gate("better_than_champion", "the model stays", needs, passed=True)
    if verdict is None:
        return _gate("better_than_champion", "no verdict came with the model", needs, passed=False)
    problem = _problem(verdict, good)
    numbers = f", loss ratio {verdict.ratio} with bounds {verdict.lower} to {verdict.upper}"
    saw = f"{verdict.answer} against {verdict.against}{numbers if problem is None else problem}"
    return _gate("better_than_champion", saw, needs, passed=problem is None)


def _problem(verdict: Verdict, good: Sequence[str]) -> str | None:
    """What is wrong with a verdict, as the rest of a sentence; None when it is good."""
    if verdict.answer not in good:
        return "".join(f"; {reason}" for reason in verdict.reasons)
    for name in ("ratio", "lower", "upper"):
        value = getattr(verdict, name)
        if value is None or not math.isfinite(value) or value < 0:
            reasons = [reason for reason in verdict.reasons if reason.startswith(f"{name} is")]
            return f", but {(reasons or [f'{name} is {value}'])[0]}"
    ratio, lower, upper = (float(getattr(verdict, name)) for name in ("ratio", "lower", "upper"))
    if not lower <= ratio <= upper:
        return f", but {ratio} is not between {lower} and {upper}"
    if verdict.answer == "better" and upper >= 1:
        return f", but the upper bound {upper} is not below 1"
    return None


def _benchmark(evidence: Evidence) -> Gate:
    """Whether the benchmark shows the candidate beside something to compare it with."""
    rows, candidate = evidence.benchmark, evidence.model.candidate
    names = [str(row.get("candidate")) for row in rows]
    missing = [
        f"{row.get('candidate')}: {key} is not a number"
        for row in rows
        if row.get("candidate") == candidate
        for key, value in row.items()
        if value in NOT_FINITE
    ]
    if "model" not in evidence.moves:
        saw, passed = "the model stays", True
    elif candidate not in names:
        saw, passed = f"no row for {candidate}, only {', '.join(names) or 'nothing'}", False
    elif len(names) < 2:  # noqa: PLR2004 - itself and one other
        saw, passed = f"{candidate} alone", False
    elif missing:
        saw, passed = missing[0], False
    else:
        others = len(names) - 1
        saw, passed = f"{candidate} beside {others} other{'s' if others > 1 else ''}", True
    needs = "a row for the candidate and one for a baseline, every number finite"
    return _gate("benchmark", saw, needs, passed=passed)


def _profit(evidence: Evidence) -> Gate:
    """Whether stock decisions by the model would have earned no less than by what it was judged against.

    What surely earned less, at any margin, is refused; the interval already allows for looking at several.
    """
    needs = "profit by margin, at no margin surely below that of what it was judged against"
    money, moves = evidence.money, "model" in evidence.moves
    if not moves:
        return _gate("profit", "the model stays", needs, passed=True)
    if money is None or not money.margins:
        return _gate("profit", "no replayed decisions came with the model", needs, passed=False)
    unknown = [margin for margin in money.margins if not _in_order(margin)]
    worse = [margin for margin in money.margins if margin.upper is not None and margin.upper < 0]
    shown = (unknown or worse or money.margins)[0]
    numbers = f"{_percent(shown.challenger)} of the best profit against {_percent(shown.champion)}"
    bounds = f"difference {_percent(shown.gain)}, bounds {_percent(shown.lower)} to {_percent(shown.upper)}"
    saw = f"at a critical ratio of {shown.ratio:g} {numbers}, {bounds}"
    return _gate("profit", saw, needs, passed=not unknown and not worse)


def _in_order(margin: Margin) -> bool:
    numbers = (margin.lower, margin.gain, margin.upper, margin.challenger, margin.champion)
    known = [number for number in numbers if number is not None and math.isfinite(number)]
    return len(known) == len(numbers) and known[0] <= known[1] <= known[2]


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}".replace("%", " %")


def _images(evidence: Evidence) -> Gate:
    """Whether every image was found in its registry."""
    odd = [name for name, digest in evidence.images.items() if not _DIGEST.fullmatch(digest)]
    found = f"tag {evidence.release.image_tag} of {', '.join(sorted(evidence.images))}"
    saw = f"{odd[0]} has no digest" if odd else found if evidence.images else "no registry was asked"
    return _gate("images", saw, "every image in its registry", passed=bool(evidence.images) and not odd)


def _soak(evidence: Evidence, rules: Rules, limits: Limits) -> Gate:
    """Whether the source ran exactly this release, alone and seen without a gap, for the whole soak."""
    traffic = evidence.traffic
    needs = (
        f"{rules.soak_minutes:g} minutes in {rules.source}, never {limits.longest_gap_seconds:g} s unobserved"
    )
    if traffic is None:
        return _gate("soak", "no Prometheus was asked", needs, passed=False)
    minutes = (traffic.until - traffic.since).total_seconds() / 60
    if (traffic.environment, traffic.release) != (rules.source, evidence.release):
        return _gate("soak", f"{traffic.release.name} in {traffic.environment}", needs, passed=False)
    saw = f"{minutes:g} minutes, {traffic.samples} observations of {traffic.pods} pods"
    saw += f", at most {traffic.longest_gap_seconds:g} s apart"
    enough = minutes >= rules.soak_minutes and traffic.pods >= 1
    return _gate(
        "soak", saw, needs, passed=enough and traffic.longest_gap_seconds <= limits.longest_gap_seconds
    )


def _health(traffic: Traffic | None, limits: Limits) -> list[Gate]:
    """Whether the source answered enough requests, fast and without errors, from pods that were there."""
    bounds = (
        _Bound("traffic", "requests", "at least", limits.min_requests, "{:,g} requests"),
        _Bound("latency", "p95_seconds", "at most", limits.p95_seconds, "{:g} s at the 95th percentile"),
        _Bound("errors", "error_share", "at most", limits.error_share, "{:.6%} of requests with status 5xx"),
        _Bound(
            "availability",
            "available_share",
            "at least",
            limits.available_share,
            "{:.6%} of scrapes answered",
        ),
    )
    return [bound.judge(traffic) for bound in bounds]


@dataclass(frozen=True)
class _Bound:
    """What a number of the soak must keep to; numbers below 0 are impossible."""

    gate: str
    field: str
    side: Literal["at least", "at most"]
    limit: float
    words: str

    def judge(self, traffic: Traffic | None) -> Gate:
        needs = f"{self.side} {self._shown(self.limit)}"
        if traffic is None:
            return _gate(self.gate, "no Prometheus was asked", needs, passed=False)
        value = float(getattr(traffic, self.field))
        kept = value >= self.limit if self.side == "at least" else 0 <= value <= self.limit
        return _gate(self.gate, self._shown(value), needs, passed=math.isfinite(value) and kept)

    def _shown(self, value: float) -> str:
        return re.sub(r"\.?0*%", " %", self.words.format(value))


def _drift(evidence: Evidence) -> Gate:
    """Whether the newest data still looks like what the model knows; not knowing can be waived, drift not."""
    answer = evidence.drift.answer if evidence.drift else None
    gate = _gate("drift", answer or "no Prometheus was asked", "no drift", passed=answer == "no drift")
    return gate.model_copy(update={"waivable": answer == "not enough data"})


def _gate(name: str, saw: str, needs: str, *, passed: bool) -> Gate:
    return Gate(name=name, passed=passed, saw=saw, needs=needs, waivable=name in WAIVABLE)
