"""Small faults in every rule, one at a time, and whether the rule's tests find them.

    python -m tests.observability.campaign                          all rules
    python -m tests.observability.campaign --rule EventsStopped     one of them

stderr says how far it is; stdout is one JSON object. Exit code 0: of all faults and of those of every subject at least
what is wanted was found.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.observability import burn
from tests.observability.mutants import mutants
from tests.observability.promtool import Rule, objectives, passing, rules, written_tests

WANTED: Final = 0.9
OF_EACH: Final = 0.75
"""Of one rule, that a rule with many faults alike cannot hide another."""


@dataclass(frozen=True)
class Subject:
    """A rule and the test files that are about it."""

    name: str
    rule: Rule
    tests: list[dict[str, Any]]


def subjects() -> dict[str, Subject]:
    """Every rule by its name: alerts, figures, and what is recorded of each objective."""
    written = [
        Subject(name, rule, written_tests()[name])
        for rule in (*rules("alerts"), *rules("kpis"))
        for name in [str(rule.get("alert") or rule["record"])]
    ]
    computed = [
        Subject(
            f"{each.service} {each.name} {rule['record']}", rule, [burn.burn_tests(each, {rule["record"]})]
        )
        for each in objectives().objectives
        for rule in burn.recorded(each)
    ]
    return {each.name: each for each in (*written, *computed)}


def survivors(subject: Subject, made: list[tuple[str, Rule]]) -> list[str]:
    """What was changed in the faulty forms that pass the tests; the rule itself must pass beside them.

    Raises:
        AssertionError: The rule as it is does not pass, so that faulty forms fail says nothing.
    """
    passed = passing([subject.rule, *(rule for _, rule in made)], subject.tests)
    assert 0 in passed, f"{subject.name} does not pass its own tests"
    return [what for number, (what, _) in enumerate(made, start=1) if number in passed]


def run(found: Mapping[str, Subject], tell: Callable[[str], object]) -> dict[str, Any]:
    """The report of a campaign over these rules."""
    made, alive = dict[str, int](), dict[str, list[str]]()
    for name, subject in found.items():
        forms = list(mutants(subject.rule))
        made[name], alive[name] = len(forms), survivors(subject, forms)
        killed = made[name] - len(alive[name])
        tell(
            "; ".join([f"{len(made)} of {len(found)}: {name}, {killed} of {made[name]} killed", *alive[name]])
        )
    total, lost = sum(made.values()), sum(map(len, alive.values()))
    weak = [name for name, each in alive.items() if len(each) > (1 - OF_EACH) * made[name]]
    return {
        "rules": len(made),
        "mutants": total,
        "killed": total - lost,
        "share": round(1 - lost / total, 4),
        "weak": weak,
        "survivors": {name: each for name, each in alive.items() if each},
        "passed": not weak and lost <= (1 - WANTED) * total,
    }


def main() -> int:
    """The process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rule", action="append", metavar="NAME", help="only this one, again for more")
    wanted = parser.parse_args().rule
    found = {name: each for name, each in subjects().items() if not wanted or name in wanted}
    report = run(found, lambda text: sys.stderr.write(f"{text}\n"))
    sys.stdout.write(f"{json.dumps(report)}\n")
    return int(not report["passed"])


if __name__ == "__main__":
    sys.exit(main())
