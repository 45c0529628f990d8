"""The conditions of a promotion; each fails closed: missing, not finite or unknown is a no with a reason."""

import math
from collections.abc import Mapping, Sequence

from scripts.errors import Refused
from scripts.evidence import Gate, Row, Verdict, Waiver

WAIVABLE = ("gate", "benchmark")
NOT_FINITE = ("nan", "inf", "-inf")  # how evidence writes them, since JSON cannot

_NEEDS_BENCHMARK = "a row for the candidate and one for a baseline, every number finite"


class GateClosed(Refused):
    """A gate says no and nobody waived it."""

    def __init__(self, gate: Gate) -> None:
        message = f"the promotion is refused by {gate.name}: {gate.saw}; it needs {gate.needs}"
        way_out = f'; a named person can pass it over: --waive {gate.name} --reason "…" --by NAME'
        super().__init__(f"gate_{gate.name}", message + (way_out if gate.name in WAIVABLE else ""))
        self.gate = gate


def verdict_gate(verdict: Verdict | None, *, model_moves: bool, first: bool) -> Gate:
    """Whether the paired test lets the model in.

    A first model of an environment must be better than what it was judged against (the naive baseline, as no
    champion was there); later ones must not be worse. An image-only release brings no model to judge.
    """
    good = ("better",) if first else ("better", "non_inferior")
    needs = f"answer {' or '.join(good)}, finite ratio and bounds in order"
    if not model_moves:
        return Gate(name="gate", passed=True, saw="the model stays", needs=needs)
    if verdict is None:
        return Gate(name="gate", passed=False, saw="no verdict came with the model", needs=needs)
    said = f"{verdict.answer} against {verdict.against}"
    problem = _problem(verdict, good)
    numbers = f", loss ratio {verdict.ratio} with bounds {verdict.lower} to {verdict.upper}"
    return Gate(
        name="gate", passed=problem is None, saw=said + (numbers if problem is None else problem), needs=needs
    )


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


def benchmark_gate(rows: Sequence[Row], candidate: str, *, model_moves: bool) -> Gate:
    """Whether the benchmark shows the candidate beside something to compare it with."""
    names = [str(row.get("candidate")) for row in rows]
    missing = [
        f"{row.get('candidate')}: {key} is not a number"
        for row in rows
        if row.get("candidate") == candidate
        for key, value in row.items()
        if value in NOT_FINITE
    ]
    if not model_moves:
        saw, passed = "the model stays", True
    elif candidate not in names:
        saw, passed = f"no row for {candidate}, only {', '.join(names) or 'nothing'}", False
    elif len(names) < 2:  # noqa: PLR2004 - itself and one other
        saw, passed = f"{candidate} alone", False
    elif missing:
        saw, passed = missing[0], False
    else:
        saw, passed = f"{candidate} beside {len(names) - 1} others", True
    return Gate(name="benchmark", passed=passed, saw=saw, needs=_NEEDS_BENCHMARK)


def judged(gates: Sequence[Gate], waivers: Mapping[str, Waiver]) -> tuple[Gate, ...]:
    """The gates with the waivers that were needed.

    Raises:
        GateClosed: One says no and is not waived.
        Refused: A waiver names a gate that does not exist or cannot be waived.
    """
    unknown = sorted(set(waivers) - set(WAIVABLE))
    if unknown:
        raise Refused("bad_waiver", f"gate {unknown[0]!r} cannot be waived; these can: {', '.join(WAIVABLE)}")
    result = tuple(
        gate if gate.passed else gate.model_copy(update={"waiver": waivers.get(gate.name)}) for gate in gates
    )
    closed = next((gate for gate in result if not gate.opens), None)
    if closed:
        raise GateClosed(closed)
    return result
