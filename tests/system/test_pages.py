"""The console's pages in a real Chromium: they render, nothing is blocked, and the numbers are there."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.scripts.running_demo import RunningDemo
from tests.system.browser import Browser, Page, chromium, until

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium") / "profile") as browser:
        yield browser


@pytest.fixture(scope="module")
def console(demo: RunningDemo) -> str:
    return f"http://127.0.0.1:{demo.port('console')}"


@pytest.fixture(scope="module")
def signed_in(demo: RunningDemo, browser: Browser, console: str) -> Page:
    """A tab in which the demo's user has signed in, by the keys of a keyboard alone."""
    found = re.search(r"sign in as (\S+) with the password (\S+)", demo.output())
    assert found
    page = browser.open(f"{console}/sign-in")
    page.run("document.querySelector('input[name=name]').focus()")
    page.call("Input.insertText", text=found[1])
    page.press("Tab")
    page.call("Input.insertText", text=found[2])
    page.press("Enter")
    until(lambda: "What runs is" in page.run("document.body?.innerText ?? ''"))
    return page


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "What runs is what Git says"),
        ("/products", "SKU-"),
        ("/data", "All checks"),
        ("/drift", "Month against forecast"),
        ("/models", "WAPE"),
        ("/releases", "Revert"),
    ],
)
def test_a_page_renders_and_nothing_of_it_is_blocked(
    signed_in: Page, console: str, path: str, expected: str
) -> None:
    page = signed_in
    page.go(f"{console}{path}")
    assert expected in page.run("document.body?.innerText ?? ''")
    assert page.run("[...document.styleSheets].every(sheet => sheet.cssRules.length > 50)")
    assert page.run("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.run("[...document.scripts].every(script => script.src && !script.text)")


@pytest.mark.parametrize("width", [320, 768, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_from_a_phone_to_a_wide_screen(
    signed_in: Page, console: str, width: int, scheme: str
) -> None:
    page = signed_in
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
    )
    for path in ("/", "/releases", "/products"):
        page.go(f"{console}{path}")
        assert page.run("document.documentElement.scrollWidth") <= width
    page.call("Emulation.clearDeviceMetricsOverride")


def test_what_a_browser_keeps_holds_no_token(signed_in: Page) -> None:
    assert signed_in.run("localStorage.length") == 0
    here = ["htmx-current-path-for-history", signed_in.run("location.pathname + location.search")]
    assert signed_in.run("Object.entries(sessionStorage)") in ([], [here])
    assert signed_in.run("document.cookie") == ""


def test_mlflow_shows_the_registered_versions(demo: RunningDemo) -> None:
    answer = httpx.get(
        f"http://127.0.0.1:{demo.port('mlflow')}/api/2.0/mlflow/model-versions/search",
        params={"filter": "name='demand'"},
    )
    assert len(answer.json()["model_versions"]) >= 2
