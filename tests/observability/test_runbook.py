"""Every command of the runbook is one that can be given: it parses, and what it names is in the manifests."""

import re

import pytest

from scripts.errors import Refused
from tests.observability.runbook import PAGE, blocks, check, inline
from tests.repository.imports import ROOT
from tests.system.runbook_story import CLUSTER, COMPARED, STORY

TEXT = PAGE.read_text()
COMMANDS = sorted({*blocks(TEXT), *inline(TEXT)})


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_parses_and_names_what_is_there(command: str) -> None:
    check(command)


def test_every_block_is_run_by_the_story_or_needs_a_cluster() -> None:
    """A command with no row fails here; so does a row that no page has any more."""
    assert {command for command in blocks(TEXT) if not command.startswith(CLUSTER)} == set(STORY)
    assert len(blocks(TEXT)) >= 40


def test_what_is_not_run_is_in_the_runbook_and_has_its_reason() -> None:
    """What else begins with kubectl is run on a cluster."""
    assert set(COMPARED) <= {*blocks(TEXT), *inline(TEXT)}
    assert all(COMPARED.values())
    assert len([each for each in COMMANDS if each.startswith("kubectl ")]) > 4 * len(COMPARED)


LIBRARIES = {"Retrying "}
"""Beginnings of lines that are not ours."""


def code() -> str:
    return "\n".join(
        path.read_text() for name in ("apps", "ml", "scripts") for path in sorted((ROOT / name).rglob("*.py"))
    )


def test_every_line_of_a_log_that_is_quoted_is_one_that_the_code_writes() -> None:
    """The words after `event` and `reason`; `…` stands for a value."""
    said = code()
    events = set(re.findall(r'"event": "([^"…(]+)', TEXT)) - LIBRARIES
    reasons = set(re.findall(r'"reason": "([a-z_]+)', TEXT))
    assert len(events) >= 10
    assert len(reasons) >= 4
    assert {each for each in events if f'"{each}"' not in said} == set()
    assert {each for each in reasons if f'"{each.removeprefix("gate_")}' not in said} == set()
    assert '"event_that_nobody_writes"' not in said, "the control"


@pytest.mark.parametrize(
    "wrong",
    [
        "python -m scripts.promote explode",
        "python -m scripts.backup restore",
        "python -m ml panel --whole",
        "kubectl -n purchase-prediction-platform get pods -l app.kubernetes.io/name=nobody",
        "kubectl -n elsewhere get pods",
        "kubectl -n NAMESPACE get pods --watch=1",
        "kubectl -n purchase-prediction-platform patch cronworkflow nobody --type merge --patch '{}'",
        "kubectl -n purchase-prediction-platform patch cronworkflow drift --type merge --patch '{'",
        "argo -n purchase-prediction-platform submit --from workflowtemplate/nobody",
        "make coffee",
    ],
)
def test_a_wrong_command_is_found(wrong: str) -> None:
    """The control."""
    with pytest.raises((AssertionError, SystemExit, Refused, ValueError)):
        check(wrong)


PROCEDURES = (
    "Deploy new images",
    "Promote a model",
    "A release is bad",
    "A bad release is stuck",
    "Retrain",
    "Restore from backup",
    "Rotate secrets",
    "MLflow is down",
    "The lake is corrupt",
    "The forge is down",
)


@pytest.mark.parametrize("heading", PROCEDURES)
def test_a_procedure_has_commands(heading: str) -> None:
    (section,) = re.findall(rf"^## {heading}\n(.+?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert blocks(section)
