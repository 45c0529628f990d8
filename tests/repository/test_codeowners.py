"""What reaches production, and what judges what reaches it, belongs to the approvers."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository.imports import ROOT

TEXT = (ROOT / ".github" / "CODEOWNERS").read_text()
APPROVERS, DEVELOPERS = ("@shop/approvers",), ("@shop/developers",)
SENSITIVE = (
    ".github",
    "argo",
    "environments/base",
    "environments/components",
    "environments/platform",
    "environments/production",
    "policies",
    "requirements",
    "scripts",
    "terraform",
    "tools",
)
LATER = {"/environments/staging/evidence/"}
"""Made by the first promotion."""

Rule = tuple[str, tuple[str, ...]]


def rules(text: str) -> Iterator[Rule]:
    """Pattern and owners, in the few forms that this file uses."""
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, *owners = line.split()
            assert pattern == "*" or re.fullmatch(r"/[\w./-]+", pattern), pattern
            assert all(re.fullmatch(r"@[\w-]+/[\w-]+", owner) for owner in owners), line
            yield pattern, tuple(owners)


def owners(text: str, path: str) -> tuple[str, ...]:
    """Of the lines that match a file the last one counts."""
    found: tuple[str, ...] = ()
    for pattern, named in rules(text):
        matches = f"/{path}".startswith(pattern) if pattern.endswith("/") else pattern in {"*", f"/{path}"}
        found = named if matches else found
    return found


def files(folder: str) -> list[str]:
    every = (path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc")
    return [str(path.relative_to(ROOT)) for path in sorted(every)]


def unowned(text: str) -> list[str]:
    """Sensitive files that somebody else than an approver could let through."""
    return [path for folder in SENSITIVE for path in files(folder) if owners(text, path) != APPROVERS]


def test_every_line_names_something_that_is_there() -> None:
    missing = [p for p, _ in rules(TEXT) if p != "*" and not Path(f"{ROOT}{p}").exists()]
    assert set(missing) <= LATER


def test_every_folder_of_an_environment_and_every_sensitive_one_is_there() -> None:
    assert [folder for folder in SENSITIVE if not files(folder)] == []


def test_sensitive_files_belong_to_the_approvers() -> None:
    assert unowned(TEXT) == []
    assert owners(TEXT, "environments/production/evidence/12-9c0d7e2.json") == APPROVERS
    assert owners(TEXT, "environments/another/kustomization.yaml") == APPROVERS


def test_a_staging_release_waits_for_nobody_and_the_rest_of_staging_does() -> None:
    assert owners(TEXT, "environments/staging/release.yaml") == ()
    assert owners(TEXT, "environments/staging/evidence/12-9c0d7e2.json") == ()
    assert owners(TEXT, "environments/staging/kustomization.yaml") == APPROVERS
    assert owners(TEXT, "environments/staging/promotion.yaml") == APPROVERS
    assert owners(TEXT, "ml/features.py") == DEVELOPERS


LINES = [line for line in TEXT.splitlines() if APPROVERS[0] in line]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split()[0])
def test_each_line_of_the_approvers_is_needed(line: str) -> None:
    """The control: without it a sensitive file is somebody else's."""
    assert unowned(TEXT.replace(f"{line}\n", ""))


def test_the_order_of_the_lines_counts() -> None:
    everybody = next(line for line in TEXT.splitlines() if line.startswith("*"))
    assert unowned(TEXT.replace(f"{everybody}\n", "") + everybody)
