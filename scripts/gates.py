"""The conditions of a promotion; each fails closed: missing, not finite or unknown is a no with a reason."""

import math
from collections.abc import Mapping, Sequence

from scripts.errors import Refused
from scripts.evidence import Gate, Row, Verdict, Waiver

GOOD_ANSWERS = ("better", "non_inferior")
WAIVABLE = ("gate", "benchmark")
NOT_FINITE = ("nan", "inf", "-inf")  # how evidence writes them, since JSON cannot

_NEEDS_VERDICT = f"answer {' or '.join(GOOD_ANSWERS)}, finite ratio and bounds in order"
_NEEDS_BENCHMARK = "a row for the candidate and one for a baseline, every number finite"


class GateClosed(Refused):
    """A gate says no and nobody waived it."""

    def __init__(self, gate: Gate) -> None:
        message = f"gate {gate.name} is closed: {gate.saw}; it needs {gate.needs}"
        way_out = f'; a named person can pass it over: --waive {gate.name} --reason "…" --by NAME'
        super().__init__(f"gate_{gate.name}", message + (way_out if gate.name in WAIVABLE else ""))
        self.gate = gate


def verdict_gate(verdict: Verdict | None, *, model_moves: bool) -> Gate:
    """Whether the paired test lets the model in. An image-only release brings no model to judge."""
    if not model_moves:
        return Gate(name="gate", passed=True, saw="the model stays", needs=_NEEDS_VERDICT)
    if verdict is None:
        return Gate(name="gate", passed=False, saw="no verdict came with the model", needs=_NEEDS_VERDICT)
    numbers = {"ratio": verdict.ratio, "lower": verdict.lower, "upper": verdict.upper}
    bad = [name for name, value in numbers.items() if value is None or not math.isfinite(value) or value < 0]
    said = f"{verdict.answer} against {verdict.against}"
    if verdict.answer not in GOOD_ANSWERS:
        saw = "; ".join([said, *verdict.reasons])
    elif bad:
        saw = f"{said}, but {bad[0]} is {numbers[bad[0]]}"
    elif not _ordered(verdict):
        saw = f"{said}, but {verdict.ratio} is not between {verdict.lower} and {verdict.upper}"
    elif verdict.answer == "better" and not _below_one(verdict.upper):
        saw = f"{said}, but the upper bound {verdict.upper} is not below 1"
    else:
        saw = f"{said}, loss ratio {verdict.ratio:.4f} with bounds {verdict.lower:.4f} to {verdict.upper:.4f}"
        return Gate(name="gate", passed=True, saw=saw, needs=_NEEDS_VERDICT)
    return Gate(name="gate", passed=False, saw=saw, needs=_NEEDS_VERDICT)


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


def _ordered(verdict: Verdict) -> bool:
    if verdict.lower is None or verdict.ratio is None or verdict.upper is None:
        return False
    return verdict.lower <= verdict.ratio <= verdict.upper


def _below_one(value: float | None) -> bool:
    return value is not None and value < 1
