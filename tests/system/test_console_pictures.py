"""The console with everything that it asks, in a real Chromium: pictures for docs/console.md, and the way by keyboard.

`make console-pictures` keeps the pictures in docs/console; here they go to a temporary folder.
"""

import base64
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from scripts.forges.local import LocalForge
from tests.apps.forecast.store import VERSION
from tests.system.browser import Browser, Page, chromium, until
from tests.system.live_console import TEXT, Shown, live_console, seen

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
MOST_BYTES = 60_000
COLOURS = 128
PICTURES = {
    "now": "/",
    "models": "/models",
    "releases": "/releases",
    "data": "/data",
    "roll-back": "/releases/roll-back",
}
MOST_TABS = 60


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium") / "profile") as browser:
        yield browser


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Shown]:
    with live_console(tmp_path_factory.mktemp("shown"), browser) as shown:
        yield shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PICTURES)
def test_a_page_has_a_small_picture_in_the_docs(shown: Shown, tmp_path: Path, name: str, scheme: str) -> None:
    folder, page = Path(os.environ.get("CONSOLE_PICTURES") or tmp_path), shown.page
    seen(page, 1280, scheme)
    page.go(f"{shown.url}{PICTURES[name]}")
    page.run("document.querySelector('#calibration-7')?.setAttribute('open', '')")
    data = base64.b64decode(page.call("Page.captureScreenshot", format="png")["data"])
    picture = folder / f"{name}-{scheme}.png"
    Image.open(io.BytesIO(data)).convert("RGB").quantize(COLOURS).save(picture, optimize=True)
    assert picture.stat().st_size <= MOST_BYTES
    assert f"console/{picture.name}" in (ROOT / "docs" / "console.md").read_text()
    assert (ROOT / "docs" / "console" / picture.name).is_file()


@pytest.mark.parametrize("language", ["en", "tr"])
def test_the_navigation_is_one_line_beside_a_person(shown: Shown, language: str) -> None:
    page = shown.page
    seen(page, 1280, "light")
    page.run(f"document.querySelector('a[hreflang={language}]').click()")
    until(lambda: page.run("document.documentElement?.lang") == language)
    tops = page.run("[...document.querySelectorAll('header nav a')].map(each => each.offsetTop)")
    assert len(tops) >= 7
    assert len(set(tops)) == 1
    page.run("document.querySelector('a[hreflang=en]').click()")
    until(lambda: page.run("document.documentElement?.lang") == "en")


def to(page: Page, wanted: str) -> None:
    """Go on with the key Tab until what is wanted has the focus."""
    for _ in range(MOST_TABS):
        if page.run(f"document.activeElement?.matches({json.dumps(wanted)}) ?? false"):
            return
        page.press("Tab")
    raise AssertionError(f"{wanted} is not reached by {MOST_TABS} times Tab")


def test_a_newcomer_learns_what_runs_and_why_and_rolls_it_back_in_four_keys(shown: Shown) -> None:
    """Without a mouse: what runs, why this model, roll back, send; each is one Enter."""
    page = shown.page
    page.go(f"{shown.url}/")
    said = page.run(TEXT)
    assert "What runs is what Git says" in said
    model = re.search(r"model (\d+)", said)
    assert model
    assert model[1] == str(VERSION)
    steps = 0
    for link, expected in (
        (f"a[href='/models#{VERSION}-9c0d7e2']", "loss 0.913 of ma3's"),
        ("a[href='/releases']", "every change is accounted for|gap"),
        ("a[href='/releases/roll-back']", "Comes back"),
    ):
        to(page, link)
        page.press("Enter")
        until(lambda text=expected: re.search(text, page.run(TEXT)))
        steps += 1
    to(page, "input[name=reason]")
    page.call("Input.insertText", text="p95 doubled since noon")
    page.press("Enter")
    steps += 1
    until(lambda: "Pull request #1 is open." in page.run(TEXT))
    assert steps <= 5
    (request,) = LocalForge(shown.forge, "anybody").pull_requests("")
    assert (request.state, "p95 doubled since noon" in request.body) == ("open", True)
