"""What the page of acceptance names exists, and every line of it names something."""

import ast
import re

import pytest

from tests.repository.imports import ROOT

PAGE = (ROOT / "docs" / "acceptance.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows(page: str) -> list[str]:
    """The lines of its tables without their heads."""
    found = [line for line in page.splitlines() if line.startswith("| ")]
    return [line for line in found if not line.endswith(" shown by |")]


def missing(page: str) -> list[str]:
    """Lines without a test, and tests that are not there or that no test run collects."""
    lines = [row for row in rows(page) if not NAMED.search(row.rpartition(" | ")[2])]
    return lines + [f"{path}::{name}" for path, name in NAMED.findall(page) if not there(path, name)]


def there(path: str, name: str) -> bool:
    file = ROOT / path
    if not file.is_file() or not file.name.startswith("test_"):
        return False
    tests = {
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return any(each.startswith("test_") for each in tests) if not name else name in tests


def test_every_line_names_tests_that_are_there() -> None:
    assert len(rows(PAGE)) >= 20
    assert missing(PAGE) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("::test_who_hears_of_it`", "::test_who_heard_of_it`"),
        ("`tests/ml/test_reproducible.py`", "`tests/ml/test_reproduced.py`"),
        ("`tests/ml/test_reproducible.py`", "nothing yet"),
    ],
)
def test_a_test_that_went_is_seen(old: str, new: str) -> None:
    assert old in PAGE
    assert len(missing(PAGE.replace(old, new))) == 1
