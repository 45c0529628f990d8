"""The script for browsers on a shop's page in a real Chromium, with the collector at another origin."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from apps.chassis.keys import Role, StoredKey, digest
from ml.event_store import Inbox, StoredEvent
from ml.pseudonym import pseudonym
from tests.apps.process import Process, listener, running
from tests.system.browser import Browser, Page, chromium, until

pytestmark = pytest.mark.system
PAGE = Path(__file__).parent / "shop" / "index.html"
KEY, PSEUDONYM_KEY = "a-public-browser-key", "p" * 32


class Shop:
    """Serves the page at an origin of its own, and looks into the inbox."""

    def __init__(self, folder: Path) -> None:
        self.inbox = folder / "inbox" / "inbox.sqlite"
        self.collector, self.html = "", b""
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(shop.html)

            def do_POST(self) -> None:
                """As a proxy that refuses."""
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_error(403)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def kept(self) -> list[StoredEvent]:
        inbox = Inbox(self.inbox)
        try:
            return inbox.after(0, 1000)
        finally:
            inbox.close()

    def alter(self, statement: str) -> None:
        with closing(sqlite3.connect(self.inbox, isolation_level=None)) as database:
            database.execute(statement)

    def refused(self, method: str, route: str) -> float:
        """Answers of 403 so far."""
        name = f'http_requests_total{{method="{method}",route="{route}",status="403"}} '
        text = httpx.get(f"{self.collector}/metrics").text
        return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))

    def types(self) -> list[str]:
        return [item.event.event_type.value for item in self.kept()]


@contextmanager
def collector(shop: Shop, folder: Path, **more: str) -> Iterator[Process]:
    keys = folder / "keys.jsonl"
    key = StoredKey(
        sha256=digest(KEY),
        source="web",
        environment="local",
        roles=frozenset({Role.browser}),
        origins=frozenset({shop.origin}),
    )
    keys.write_text(key.model_dump_json() + "\n")
    variables = {
        "COLLECTOR_INBOX": str(shop.inbox),
        "COLLECTOR_KEYS_FILE": str(keys),
        "COLLECTOR_PSEUDONYM_KEY": PSEUDONYM_KEY,
        **more,
    }
    with listener() as bound, running("apps.collector", variables, bound) as process:
        html = PAGE.read_text().replace("COLLECTOR_URL", process.url).replace("BROWSER_KEY", KEY)
        shop.collector, shop.html = process.url, html.encode()
        yield process


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    with collector(shop, tmp_path):
        yield shop
    shop.server.shutdown()
    shop.server.server_close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium") / "profile") as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, shop: Shop) -> Iterator[Page]:
    """Each shop has a port, so an origin and a storage, of its own."""
    browser.console.clear()
    page = browser.open(f"{shop.origin}/")
    yield page
    targets = browser.call("Target.getTargets")["targetInfos"]
    if page.target in {each["targetId"] for each in targets}:
        page.close()


def stored(page: Page) -> int:
    return int(page.run("localStorage.length"))


def test_view_cart_and_purchase_arrive_once_and_say_nothing_of_the_person(page: Page, shop: Shop) -> None:
    for name in ("agree", "cart", "buy"):
        page.click(name)
    until(lambda: sorted(shop.types()) == ["cart", "purchase", "view"])
    until(lambda: stored(page) == 0)
    kept = {item.event.event_type.value: item for item in shop.kept()}
    bought = kept["purchase"]
    assert (bought.source, bought.event.quantity, bought.event.currency) == ("web", 2, "TRY")
    assert bought.event.order_id == "o-1"
    assert {item.event.customer_id for item in kept.values()} == {
        pseudonym("ali@shop.example", PSEUDONYM_KEY.encode())
    }


def test_without_consent_nothing_is_stored_or_sent(page: Page, shop: Shop) -> None:
    """The page views at once, and a person clicks; what came before the consent never arrives later either."""
    page.click("buy")
    assert stored(page) == 0
    page.click("agree")
    until(lambda: shop.types() == ["view"])
    until(lambda: stored(page) == 0)
    page.click("refuse")
    page.click("buy")
    assert stored(page) == 0


def test_consent_withdrawn_empties_the_queue(page: Page, shop: Shop) -> None:
    offline(page, now=True)
    page.click("agree")
    page.click("buy")
    until(lambda: stored(page) == 2)
    page.click("refuse")
    assert stored(page) == 0
    offline(page, now=False)
    page.run("purchasePrediction.consent(true)")
    page.click("cart")
    until(lambda: shop.types() == ["cart"])


def offline(page: Page, *, now: bool) -> None:
    page.call("Network.enable")
    page.call(
        "Network.emulateNetworkConditions", offline=now, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )


def test_what_was_offline_is_sent_when_the_network_is_back(page: Page, shop: Shop) -> None:
    offline(page, now=True)
    page.click("agree")
    page.click("buy")
    until(lambda: stored(page) == 2)
    assert shop.types() == []
    offline(page, now=False)
    until(lambda: sorted(shop.types()) == ["purchase", "view"])
    until(lambda: stored(page) == 0)


def note_answers(page: Page) -> None:
    """Keep the status of each answer in `answers`."""
    page.run(
        "answers = []; asked = fetch; fetch = (...what) => asked(...what).then("
        "(answer) => { answers.push(answer.status); return answer; })"
    )


def test_over_the_rate_of_its_key_a_page_waits_as_it_is_told_and_loses_nothing(
    browser: Browser, shop: Shop, tmp_path: Path
) -> None:
    slow = {"COLLECTOR_RATE_PER_SECOND": "0.5", "COLLECTOR_RATE_BURST_SECONDS": "1"}
    with collector(shop, tmp_path, **slow):
        page = browser.open(f"{shop.origin}/")
        note_answers(page)
        page.click("agree")
        until(lambda: shop.types() == ["view"])
        page.click("buy")
        until(lambda: shop.types() == ["view", "purchase"])
        until(lambda: stored(page) == 0)
        assert page.run("answers") == [202, 429, 202]
        page.close()


def test_a_503_is_sent_again_when_its_retry_after_has_passed(page: Page, shop: Shop) -> None:
    shop.alter("ALTER TABLE events RENAME TO away")
    note_answers(page)
    page.click("agree")
    until(lambda: 503 in page.run("answers"))
    shop.alter("ALTER TABLE away RENAME TO events")
    until(lambda: shop.types() == ["view"])
    until(lambda: stored(page) == 0)
    assert page.run("answers.filter((status) => status === 503).length") <= 2, "Retry-After was waited for"


def leave(page: Page, before: str = "") -> None:
    """Buy and go away before any timer of the page runs."""
    page.run(
        f"{before}; setTimeout = () => 0; document.getElementById('buy').click(); location.href = 'about:blank'"
    )
    until(lambda: page.url() == "about:blank")


def test_a_purchase_of_a_page_that_closes_at_once_arrives_once(
    browser: Browser, page: Page, shop: Shop
) -> None:
    page.click("agree")
    until(lambda: shop.types() == ["view"] and stored(page) == 0)
    leave(page)
    until(lambda: shop.types() == ["view", "purchase"])
    again = browser.open(f"{shop.origin}/")
    assert stored(again) == 1, "nobody told the page that it arrived"
    again.run("purchasePrediction.consent(true)")
    until(lambda: stored(again) == 0)
    assert shop.types() == ["view", "purchase"]
    again.close()


def test_without_a_beacon_that_purchase_waits_for_the_next_page(
    browser: Browser, page: Page, shop: Shop
) -> None:
    """The control of the test above."""
    page.click("agree")
    until(lambda: shop.types() == ["view"] and stored(page) == 0)
    leave(page, before="navigator.sendBeacon = () => false")
    next_page = browser.open(f"{shop.origin}/")
    assert shop.types() == ["view"]
    next_page.run("purchasePrediction.consent(true)")
    until(lambda: shop.types() == ["view", "purchase"])
    next_page.close()


def test_a_page_of_another_origin_is_refused(browser: Browser, shop: Shop) -> None:
    """By the preflight, and where there is none, as of a beacon, by the key's own origins."""
    other = browser.open(f"{shop.origin.replace('127.0.0.1', 'localhost')}/")
    other.click("agree")
    until(lambda: shop.refused("OPTIONS", "unmatched") > 0)
    other.run(f"navigator.sendBeacon('{shop.collector}/events?key={KEY}', localStorage[localStorage.key(0)])")
    until(lambda: shop.refused("POST", "/events") == 1)
    assert shop.types() == []
    other.run("purchasePrediction.consent(false)")
    other.close()


def test_an_event_that_is_refused_is_dropped_with_a_warning(browser: Browser, page: Page, shop: Shop) -> None:
    page.run("purchasePrediction.consent(true); purchasePrediction.cart({product_id: ' '})")
    until(lambda: stored(page) == 0)
    page.run("1")
    assert any("product_id" in line for line in browser.console), browser.console
    assert shop.types() == []


def test_an_answer_of_a_proxy_that_is_no_json_is_dropped_too(
    browser: Browser, page: Page, shop: Shop
) -> None:
    page.run(f"purchasePrediction.init({{key: 'any', url: '{shop.origin}', consent: true}})")
    page.run("purchasePrediction.cart({product_id: 'A'})")
    until(lambda: "dropped 1 events" in " ".join(browser.console) or page.run("0"))
    assert stored(page) == 0


def test_without_a_key_nothing_is_sent_yet(page: Page, shop: Shop) -> None:
    """A consent banner may be faster than the shop's own script."""
    page.run("purchasePrediction.init({key: ''}); purchasePrediction.consent(true)")
    page.run("purchasePrediction.cart({product_id: 'A', unit_price_cents: 1, currency: 'TRY'})")
    assert stored(page) == 1
    page.run(f"purchasePrediction.init({{key: '{KEY}', url: '{shop.collector}'}})")
    until(lambda: shop.types() == ["cart"])


def test_the_script_is_small_and_kept_by_its_tag(shop: Shop) -> None:
    url = f"{shop.collector}/collector.js"
    first = httpx.get(url)
    assert len(first.content) < 4096
    again = httpx.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
