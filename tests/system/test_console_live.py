"""With all sources live: axe finds nothing at any width, and Now follows what happens while somebody reads it."""

import time
from collections.abc import Iterator

import pytest

from ml.model_store import DRIFT, QUALITY
from scripts.release_file import Release, edit
from tests.apps.console.repository import Forge, release
from tests.scripts.world import RELEASE
from tests.system.axe import axe_script, violations
from tests.system.browser import Page, chromium, until
from tests.system.console_rig import DRIFT_REPORT, QUALITY_REPORT
from tests.system.live_console import TEXT, Shown, live_console, seen

pytestmark = pytest.mark.system

PATHS = ("/", "/models", "/data", "/drift", "/releases", "/alarms", "/alarms/1")
LIVE = {
    "/": "collector spends its budget of latency",
    "/models": "blend_of_tests",
    "/data": "90 % jump",
    "/drift": "volume is off",
    "/releases": "every change is accounted for|gap",
    "/alarms": "ServiceDown",
    "/alarms/1": "ServiceDown",
}
WIDTHS = (320, 375, 768, 1280, 1920)
FOLLOW_SECONDS = 1


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("live")
    with (
        chromium(folder / "profile") as browser,
        live_console(
            folder / "console",
            browser,
            {QUALITY: QUALITY_REPORT, DRIFT: DRIFT_REPORT},
            refresh_seconds=FOLLOW_SECONDS,
        ) as shown,
    ):
        yield shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_axe_finds_nothing_on_a_page_with_all_sources(shown: Shown, path: str, scheme: str) -> None:
    page, axe, found = shown.page, axe_script(), {}
    for width in WIDTHS:
        seen(page, width, scheme)
        until(lambda: _loaded(page, shown.url, path))
        page.run("for (const each of document.querySelectorAll('details')) each.open = true")
        assert page.run("document.documentElement.scrollWidth") <= width
        if wrong := violations(page, axe):
            found[width] = wrong
    assert not found


def _loaded(page: Page, url: str, path: str) -> bool:
    page.go(f"{url}{path}")
    return any(text in page.run(TEXT) for text in LIVE[path].split("|"))


def _asked(page: Page) -> int:
    """How often the page asked for itself again."""
    script = "performance.getEntriesByType('resource').filter(each => each.initiatorType == 'xmlhttprequest').length"
    return int(page.run(script))


def _another_release(shown: Shown) -> None:
    forge = Forge.__new__(Forge)
    forge.path, forge._clock = shown.forge, 1_800_000_000
    values = Release.model_validate(release(9))
    forge.commit("local: model 9 comes meanwhile", {"release.yaml": edit(RELEASE, values).decode()})


def test_now_follows_and_the_focus_and_the_place_stay(shown: Shown) -> None:
    page = shown.page
    seen(page, 1280, "light")
    page.go(f"{shown.url}/")
    page.run(
        "document.getElementById('to-releases').focus({preventScroll: true}); scrollTo(0, 300); window.mark = 1"
    )
    page.run(
        "window.heights = new Set(); new MutationObserver(() => heights.add(document.getElementById('main')"
        ".offsetHeight > 500)).observe(document.getElementById('main'), {childList: true})"
    )
    before = _asked(page)
    until(lambda: _asked(page) >= before + 2)
    assert page.run("document.activeElement.id") == "to-releases"
    assert page.run("scrollY") == 300
    assert page.run("[...heights]") == [True], "never empty in between"
    _another_release(shown)
    until(lambda: "local: model 9 comes meanwhile" in page.run(TEXT))
    assert page.run("window.mark") == 1, "the page was not loaded anew"
    assert page.run("document.activeElement.id") == "to-releases"
    assert page.run("document.querySelectorAll('main').length") == 1


def test_what_can_have_the_focus_on_now_has_an_id(shown: Shown) -> None:
    shown.page.go(f"{shown.url}/")
    script = "[...document.querySelectorAll('main a, main button, main [tabindex]')].filter(each => !each.id)"
    assert shown.page.run(f"{script}.map(each => each.outerHTML)") == []
    assert shown.page.run("document.querySelectorAll('main a').length") >= 4


def test_a_hidden_tab_asks_nothing(shown: Shown) -> None:
    page = shown.page
    page.go(f"{shown.url}/")
    until(lambda: _asked(page) >= 1)
    page.run("Object.defineProperty(document, 'hidden', {value: true, configurable: true}); 0")
    time.sleep(0.5)
    before = _asked(page)
    time.sleep(FOLLOW_SECONDS * 3)
    assert _asked(page) == before
    page.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    until(lambda: _asked(page) > before)


def test_a_session_that_ended_leads_to_the_sign_in(shown: Shown) -> None:
    page = shown.page
    page.go(f"{shown.url}/")
    cookies = page.call("Network.getCookies")["cookies"]
    page.call("Network.deleteCookies", name="console", url=shown.url)
    until(lambda: page.run("location.pathname") == "/sign-in")
    for each in cookies:
        page.call("Network.setCookie", name=each["name"], value=each["value"], url=shown.url)
