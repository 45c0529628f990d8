"""What axe finds wrong with a page for people who use it otherwise than with eyes and a mouse."""

from importlib.metadata import distribution
from typing import Any

from tests.system.browser import Page

AXE_RUN = """
axe.run({resultTypes: ['violations']}).then(found => found.violations.flatMap(
  each => each.nodes.map(node => `${each.id}: ${node.html.slice(0, 120)} ${node.failureSummary}`)))
"""


def awaited(page: Page, script: str) -> Any:
    answer = page.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
    assert "exceptionDetails" not in answer, answer
    return answer["result"].get("value")


def axe_script() -> str:
    """axe-core as its package carries it; it is under the Mozilla Public License, and never part of ours."""
    return distribution("axe-playwright-python").locate_file("axe_playwright_python/axe.min.js").read_text()


def violations(page: Page, axe: str) -> list[str]:
    """One line for each element that breaks a rule."""
    page.run(f"{axe}; 0")
    found: list[str] = awaited(page, AXE_RUN)
    return found
