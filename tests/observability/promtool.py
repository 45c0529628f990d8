"""Asks promtool to judge rules by tests: each alert alone, or many forms of one beside each other."""

import copy
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scripts.observability.__main__ import dumped
from scripts.observability.objectives import FILE, FOLDER, Objectives, read

Rule = dict[str, Any]
TEST_FILES = ("alerts.test.yaml", "alerts-of-weeks.test.yaml", "alerts-of-months.test.yaml", "kpis.test.yaml")


@cache
def objectives() -> Objectives:
    """What the repository promises."""
    return read(FILE.read_text())


@cache
def groups() -> list[dict[str, Any]]:
    """The committed rules, not those that would be made now."""
    found: list[dict[str, Any]] = yaml.load((FOLDER / "rules.yaml").read_text(), yaml.CSafeLoader)["spec"][
        "groups"
    ]
    return found


def rules(group: str | None = None) -> list[Rule]:
    """Rules of one group, or of all."""
    return [rule for each in groups() if group in {None, each["name"]} for rule in each["rules"]]


@cache
def written_tests() -> dict[str, list[dict[str, Any]]]:
    """Test files by the alert or figure that their cases are about, cut down to these."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in TEST_FILES:
        file = yaml.load((FOLDER / name).read_text(), yaml.CSafeLoader)
        own: dict[str, list[Any]] = {}
        for case in file["tests"]:
            own.setdefault(case["name"].partition(": ")[0], []).append(case)
        for alert, cases in own.items():
            found.setdefault(alert, []).append({**file, "tests": cases})
    return found


def faults(rules: Iterable[Rule], tests: dict[str, Any]) -> str:
    """What promtool says against these rules in the light of the tests, empty when all pass."""
    return _judged(list(rules), tests)


def passing(forms: Sequence[Rule], tests: Iterable[dict[str, Any]]) -> set[int]:
    """Which forms of one rule, by their place, do what the tests ask; all are judged in one run of promtool a file.

    Raises:
        AssertionError: promtool refused something else than a form, so its answer is about none of them.
    """
    left = dict(enumerate(forms))
    for file in tests:
        while refused := _refused(left, file):
            left = {number: form for number, form in left.items() if number not in refused}
    return set(left)


_FORM = re.compile(r"\bF(\d{5})")


def _refused(forms: Mapping[int, Rule], file: dict[str, Any]) -> set[int]:
    if not forms:
        return set()
    cases = [_for_all(case, forms) for case in file["tests"]]
    said = _judged([_named(rule, number) for number, rule in forms.items()], file | {"tests": cases})
    blamed = re.findall(r'^\s*(?:expr: .+, time:|rule: \w+)|\brule \d+, "\w+"', said, re.MULTILINE)
    found = {int(number) for line in blamed for number in _FORM.findall(line)}
    assert bool(found) == bool(said), said
    return found


def _name(rule: Rule) -> str:
    return str(rule.get("alert") or rule["record"])


def _named(rule: Rule, number: int) -> Rule:
    return {**rule, ("alert" if "alert" in rule else "record"): f"F{number:05}"}


def _for_all(case: dict[str, Any], forms: Mapping[int, Rule]) -> dict[str, Any]:
    """The questions of a case, once for each form by the name that it has here."""
    asked = case["promql_expr_test"]
    return case | {
        "promql_expr_test": [_about(each, rule, number) for number, rule in forms.items() for each in asked]
    }


def _about(question: dict[str, Any], rule: Rule, number: int) -> dict[str, Any]:
    question, old, new = copy.deepcopy(question), _name(rule), f"F{number:05}"
    if "alert" in rule:
        expr = re.sub(r"\bALERTS\b(?!\{)", "ALERTS{}", question["expr"])
        question["expr"] = re.sub(r"\bALERTS\{", f'ALERTS{{alertname="{new}", ', expr)
    else:
        question["expr"] = question["expr"].replace(old, new)
    for sample in question["exp_samples"]:
        sample["labels"] = sample["labels"].replace(old, new)
    return question


def _judged(found: list[Rule], tests: dict[str, Any]) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.yml").write_text(dumped({"groups": [{"name": "all", "rules": found}]}))
        (folder / "tests.yml").write_text(dumped(tests))
        done = subprocess.run(
            ["promtool", "test", "rules", "tests.yml"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0 or "FAILED" in done.stdout + done.stderr, done.stdout + done.stderr
    return "" if done.returncode == 0 else done.stdout + done.stderr
