"""The console shows what answers and names what does not; a page is never an error because a service is down."""

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from apps.console.settings import ConsoleSettings
from ml.model_store import DRIFT, DRIFT_PICTURE, QUALITY, ModelStore
from tests.apps.client import Client
from tests.apps.console.repository import Forge, evidence, promoted, release
from tests.apps.console.said import english
from tests.apps.console.signed_in import signed_in, users_file
from tests.apps.forecast.store import VERSION, Shop
from tests.apps.process import listener, running

PAGES = ("/", "/products", "/products/P0003", "/portfolio", "/data", "/drift", "/models", "/releases")
NOWHERE = "http://127.0.0.1:9"
ODD = "SHELF/9 Ş"
PATIENT_SECONDS = 10.0
"""A page of these tests waits for what is there; how long others wait is measured in test_outage.py."""


def settings(repository: Path, **urls: str) -> ConsoleSettings:
    """Of a console that finds no service but those named."""
    nowhere = {f"{name}_url": NOWHERE for name in ("collector", "forecast", "decision")}
    users = users_file(repository.parent)
    given = {"repository": repository, "users_file": users, "page_seconds": PATIENT_SECONDS}
    return ConsoleSettings.model_validate({**nowhere, **urls, **given})


class Page(HTMLParser):
    """Text, links and element names of a page; fails for one that does not close what it opens."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = dict(attrs)
        self.elements.append((tag, fields))
        self.links += [value for name, value in attrs if name in {"href", "src"} and value]
        if tag not in {"meta", "link", "img", "input", "br"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Forge:
    """Releases of a shop; the newest is what its forecast service runs."""
    forge = promoted(tmp_path_factory.mktemp("forge") / "repository.git")
    values = release(VERSION) | {"model_sha256": shop.model_sha256}
    forge.release("local: model 3 <b>", values, {f"evidence/{VERSION}-9c0d7e2.json": evidence("mix")})
    return forge


@pytest.fixture(scope="module")
def urls(forecast_url: str, decision_url: str) -> dict[str, str]:
    return {"forecast_url": forecast_url, "decision_url": decision_url}


@pytest.fixture(scope="module")
def client(forge: Forge, urls: dict[str, str]) -> Iterator[Client]:
    with signed_in(settings(forge.path, **urls)) as client:
        yield client


def page(client: Client, path: str, status: int = 200) -> Page:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    return Page(answer.text)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_whole_and_all_its_links_lead_somewhere(client: Client, path: str) -> None:
    found = page(client, path)
    local = {link.partition("#")[0] for link in found.links if link.startswith("/")}
    switches = {link for link in local if link.startswith("/language/")}
    assert len(switches) == 2
    assert len(local - switches) > 4
    for link in local - switches:
        assert client.get(link).status_code == 200, link
    assert not [link for link in found.links if not link.startswith(("/", "#"))]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_nothing_that_its_content_policy_forbids(client: Client, path: str) -> None:
    answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    found = Page(answer.text)
    assert not [tag for tag, _ in found.elements if tag in {"style", "iframe"}]
    assert all(
        str(fields.get("src")).startswith("/static/") for tag, fields in found.elements if tag == "script"
    )
    assert not re.search(r"<script[^>]*>[^<]", answer.text)
    assert not [
        fields for _, fields in found.elements if "style" in fields or any(n.startswith("on") for n in fields)
    ]


def test_now_says_that_what_runs_is_what_git_says(client: Client, shop: Shop) -> None:
    text = page(client, "/").text
    assert "What runs is what Git says" in text
    assert shop.model_sha256[:12] in text
    assert "0.412" in text
    assert "\N{MINUS SIGN}32 % against naive" in text
    assert "model 3 <b>" in text


def test_now_marks_what_differs(forge: Forge, urls: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(forge.path, tmp_path / "repository.git")
    moved = Forge(tmp_path / "repository.git")
    moved.release("local: model 4, image aaaaaaa", release(4, "aaaaaaa"))
    with signed_in(settings(moved.path, **urls)) as client:
        found = page(client, "/")
        assert "What runs is not what Git says" in found.text
        assert len([fields for _, fields in found.elements if "differs" in (fields.get("class") or "")]) == 3


def test_now_names_the_service_that_is_down(client: Client) -> None:
    text = page(client, "/").text
    assert "collector does not answer at http://127.0.0.1:9" in text
    assert "forecast ready" in text


def test_products_are_listed_by_page_and_found_by_a_part_of_the_id(client: Client) -> None:
    first = page(client, "/products")
    assert "P0000" in first.text
    (following,) = [link for link in first.links if "cursor=P0024" in link]
    second = page(client, following.replace("&amp;", "&"))
    assert "P0025" in second.text
    assert "SHELF/9 Ş" in second.text
    assert "P0000" not in second.text
    assert re.search(r"40 products · together [\d,.]+ units, P10 . P90 [\d,.]+ . [\d,.]+ ", first.text)
    assert "1 product " in page(client, "/products?search=p0003&category=kitchen").text
    assert "No product matches" in page(client, "/products?search=p0003&category=toys").text


def test_a_product_shows_its_forecast_and_a_decision_with_the_reason(
    client: Client, urls: dict[str, str]
) -> None:
    forecast = httpx.get(f"{urls['forecast_url']}/forecast/P0003").json()
    decision = httpx.get(f"{urls['decision_url']}/decision/P0003").json()
    found = page(client, "/products/P0003")
    assert decision["reason"] in found.text
    for units in forecast["quantiles"].values():
        assert f" {units:,.1f} " in found.text
    assert [tag for tag, fields in found.elements if fields.get("class") == "bar"]


def test_a_product_id_with_a_slash_has_a_page(client: Client) -> None:
    listed = page(client, "/products?search=shelf")
    (link,) = [link for link in listed.links if link.startswith("/products/")]
    assert ODD in page(client, link).text


def test_a_planners_numbers_change_the_decision(client: Client) -> None:
    assert (
        "(7 are there or on the way)"
        in page(client, "/products/P0003?on_hand=5&on_order=2&cost=&price=").text
    )
    found = page(client, "/products/P0003?cost=1.25")
    assert ("input", "1.25") in [(tag, fields.get("value")) for tag, fields in found.elements]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("cost=abc", "“abc” cannot be read. Write an amount such as 12.50."),
        ("on_hand=1.5", "“1.5” cannot be read. Write a whole number."),
        ("cost=1e999999", "“1e999999” cannot be read."),
        ("cost=1e999", "“1e999” cannot be read."),
        ("cost=NaN", "“NaN” cannot be read."),
        ("price=1&cost=2", "price_cents 100 is not above cost_cents 200"),
        ("on_hand=-3", "on_hand_units is -3"),
    ],
)
def test_numbers_that_cannot_be_used_are_named_beside_the_forecast(
    client: Client, query: str, said: str
) -> None:
    raw = client.get(f"/products/P0003?{query}").text
    assert said in Page(raw).text
    assert "Demand in January\N{NO-BREAK SPACE}2026" in raw


def test_an_unknown_product_is_a_page_that_says_so(client: Client) -> None:
    assert "product 'NOPE' has no forecast" in page(client, "/products/NOPE", status=404).text


def test_data_says_that_it_was_not_judged_yet(client: Client) -> None:
    assert "The gate was not run yet" in page(client, "/data").text


def test_data_shows_the_verdict_what_failed_with_its_rows_and_the_verdicts_before(
    forge: Forge, shop: Shop, tmp_path: Path
) -> None:
    at = "2026-11-20T09:00:00+00:00"
    checks = [
        {"name": "volume", "verdict": "pass", "value": 1.1, "threshold": 1.6, "reason": "as usual"},
        {
            "name": "price_jumps",
            "verdict": "fail",
            "value": 0.9,
            "threshold": 0.1,
            "reason": "90 % jump",
            "count": 1_234,
            "rows": [
                {"event_id": "e<1>", "price_cents": 127_300},
                {"event_id": "e2", "price_cents": 40_500.5},
            ],
        },
        {
            "name": "vanished",
            "verdict": "not enough data",
            "value": None,
            "threshold": None,
            "reason": "new shop",
        },
        {"name": "of_a_later_release", "verdict": "unclear", "reason": "?"},
    ]
    head = {"verdict": "fail", "data_version": "2026-10.0123456789ab", "created_at": at, "as_of": at}
    past = [{"verdict": verdict, "data_version": None, "created_at": at} for verdict in ("warn", "pass")]
    root = tmp_path / "store"
    shutil.copytree(shop.root, root)
    ModelStore(root).put_report(QUALITY, json.dumps({**head, "checks": checks, "history": past}).encode())
    variables = shop.variables() | {"FORECAST_MODEL_STORE": str(root)}
    with (
        listener() as bound,
        running("apps.forecast", variables, bound) as process,
        signed_in(settings(forge.path, forecast_url=process.url)) as client,
    ):
        found = page(client, "/data")
    assert "The data failed the quality gate" in found.text
    for part in (
        "2026-10.0123456789ab",
        "90 % jump",
        "the first 2 of 1,234",
        "e<1>",
        "127,300",
        "unclear",
        "new shop",
    ):
        assert part in found.text
    strip = [fields.get("class") for tag, fields in found.elements if tag == "li" and "title" in fields]
    assert strip == ["good", "warn"]


def test_drift_says_that_nothing_was_judged_yet(client: Client) -> None:
    assert "No month was judged yet" in page(client, "/drift").text


def test_drift_shows_the_verdict_its_parts_and_the_verdicts_before(
    forge: Forge, shop: Shop, tmp_path: Path
) -> None:
    column = {"kind": "location", "label": "", "window": 1, "p_value": 0.001, "drifted": False}
    inputs = [
        column | {"column": "price<cents>", "effect": 1.25, "corrected": 0.002, "drifted": True},
        column | {"column": "views", "effect": 0.1, "corrected": 0.9},
    ]
    chart = {"name": "errors grew", "effect": 0.31, "total": 3.0, "limit": 2.0}
    sign = {"name": "shop:volume", "effect": 0.6, "floor": 0.22, "p_value": 0.01, "drifted": True}
    parts = {
        "forecasts": "drift",
        "inputs": {"answer": "drift", "reason": "price changed", "findings": inputs},
        "residuals": {"answer": "drift", "reason": "errors grew (+0.31)", "charts": [chart]},
        "of_a_later_release": {},
    }
    past = {"period": "2026-09", "answer": "no drift", "model_version": 2}
    report = {
        "period": "2026-10",
        "answer": "drift",
        "episode": "2026-10",
        "retrain": True,
        "model_version": 3,
        "created_at": "2026-11-05T03:30:00+00:00",
        "false_alarms": 0.012,
        "picture": "drawing took longer than 600 s",
        "report": {
            "reason": "volume is +80% off",
            "features": ["shop:volume"],
            "findings": [sign],
            "parts": parts,
        },
        "history": [past, past | {"period": "2026-08", "answer": "drift"}],
    }
    root = tmp_path / "store"
    shutil.copytree(shop.root, root)
    ModelStore(root).put_report(DRIFT, json.dumps(report).encode())
    variables = shop.variables() | {"FORECAST_MODEL_STORE": str(root)}
    with (
        listener() as bound,
        running("apps.forecast", variables, bound) as process,
        signed_in(settings(forge.path, forecast_url=process.url)) as client,
    ):
        found = page(client, "/drift")
        metrics = httpx.get(f"{process.url}/metrics").text
    for part in (
        "2026-10 is not like the months before it",
        "volume is +80% off",
        "a retrain is asked for",
        "price<cents>",
        "errors grew (+0.31)",
        "measured in 1.2",
        "not drawn: drawing took longer than 600 s",
        "shop:volume",
    ):
        assert part in found.text
    strip = [fields.get("class") for tag, fields in found.elements if tag == "li" and "title" in fields]
    assert strip == ["bad", "good"]
    assert "/drift/evidently.html" not in found.links, "the one in the store is of another verdict"
    bars = [fields for tag, fields in found.elements if tag == "rect" and "bar" in str(fields.get("class"))]
    assert [bar["class"] for bar in bars] == ["bar strong", "bar", "bar strong"]
    assert float(str(bars[1]["width"])) < float(str(bars[0]["width"])) < 520
    for line in ('drift_verdict{state="found"} 1.0', "drift_episode 1.0", "drift_features 1.0"):
        assert line in metrics


def test_data_says_what_the_live_model_learned_from_and_what_was_refused(tmp_path: Path) -> None:
    forge = Forge(tmp_path / "repository.git")
    taken = {"accepted": 12_345, "refused": 7, "reasons": {"bad_quantity": 7}, "gate": {"verdict": "warn"}}
    papers = {"evidence/1-9c0d7e2.json": evidence("mix", data_quality=taken)}
    forge.release("local: model 1", release(1), papers)
    with signed_in(settings(forge.path)) as client:
        text = page(client, "/data").text
    for said in ("12,345", "bad_quantity 7", "2025-12.0123456789ab", "4f1c2d3e5a6b", "warning"):
        assert said in text


def test_evidentlys_picture_is_a_file_that_may_run_nothing(forge: Forge, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    with signed_in(settings(forge.path, model_store=str(tmp_path / "store"))) as client:
        assert "no picture was drawn" in client.get("/drift/evidently.html").text
        store.put_report(DRIFT_PICTURE, b"<script>alert(1)</script>")
        answer = client.get("/drift/evidently.html")
    assert (answer.status_code, answer.content) == (200, b"<script>alert(1)</script>")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


def test_models_show_verdict_gates_and_benchmark(client: Client) -> None:
    text = page(client, "/models").text
    assert "loss 0.913 of ma3's, 95 % between 0.889 and 0.941" in text
    assert "waived by Ada: first model" in text
    assert "not tested against a champion" in text
    assert text.index("Model 3") < text.index("Model 2") < text.index("Model 1")
    assert text.index("mix combination") < text.index("ma3 baseline") < text.index("naive baseline")


def test_a_model_that_was_taken_back_keeps_its_evidence_here(client: Client, forge: Forge) -> None:
    assert "local/evidence/2-" not in forge.files()
    assert "Model 2" in page(client, "/models").text


def test_releases_are_the_log_of_the_release_file(client: Client, forge: Forge) -> None:
    text = page(client, "/releases").text
    forge.commit("docs: not a release", {"notes.txt": "x"})
    assert page(client, "/releases").text.count("ago") == text.count("ago") == 5
    assert 'Revert "local: model 2, image b4e5f60" rollback' in text
    assert text.count("rollback") == 2  # one badge, and the sentence above the list
    assert "Grace" in text
    assert "model 2 → 1" in text


def test_a_new_commit_is_seen_by_the_next_page(forge: Forge, tmp_path: Path) -> None:
    shutil.copytree(forge.path, tmp_path / "repository.git")
    moved = Forge(tmp_path / "repository.git")
    with signed_in(settings(moved.path)) as client:
        assert "model 5" not in page(client, "/releases").text
        moved.release("local: model 5", release(5))
        assert "local: model 5" in page(client, "/releases").text


def test_files_of_another_version_or_by_hand_do_not_break_a_page(tmp_path: Path) -> None:
    forge = Forge(tmp_path / "repository.git")
    forge.release("first\x1f\x1e", release(1), {"evidence/1-9c0d7e2.json": {"format": 9}})
    forge.release("host\x1file\x1e", release(9, "x\\nHEAD:notes"))
    forge.commit("broken", {"release.yaml": "data: [", "evidence/oops.json": "{"})
    forge.release(
        "second", release(2), {"evidence/odd.json": evidence("mix", benchmark=[{"wape": "nan"}, {}])}
    )
    with signed_in(settings(forge.path)) as client:
        for path in PAGES:
            assert client.get(path).status_code == 200
        assert "model 1 → 2" in page(client, "/releases").text


@pytest.mark.parametrize("path", PAGES)
def test_with_everything_down_a_page_still_says_what_is_missing(tmp_path: Path, path: str) -> None:
    with signed_in(settings(tmp_path / "none.git")) as client:
        text = page(client, path).text
    assert "does not answer" in text or "git cannot read" in text


def test_without_the_decision_service_a_product_still_shows_its_forecast(
    forge: Forge, urls: dict[str, str]
) -> None:
    with signed_in(settings(forge.path, forecast_url=urls["forecast_url"])) as client:
        raw = client.get("/products/P0003").text
    assert "decision does not answer" in Page(raw).text
    assert "Demand in January\N{NO-BREAK SPACE}2026" in raw


def test_an_empty_repository_says_that_nothing_was_released(tmp_path: Path) -> None:
    forge = Forge(tmp_path / "repository.git")
    with signed_in(settings(forge.path)) as client:
        assert "refs/heads/main is not there" in page(client, "/releases").text
        forge.commit("start", {"notes.txt": "x"})
        assert "Nothing was released yet" in page(client, "/releases").text
        assert "No model was promoted yet" in page(client, "/models").text


def test_files_are_kept_by_the_browser_and_pages_are_not(client: Client) -> None:
    answer = client.get("/")
    assert answer.headers["cache-control"] == "no-store"
    (style,) = {link for link in Page(answer.text).links if link.endswith(".css")}
    assert "immutable" in client.get(style).headers["cache-control"]
    assert client.get(style).headers["content-type"].startswith("text/css")
    assert client.get("/static/console.000000000000.css").status_code == 404


def test_a_file_is_sent_compressed_to_whoever_takes_that(client: Client) -> None:
    (script,) = [link for link in page(client, "/products").links if "/htmx." in link]
    packed = client.get(script, headers={"Accept-Encoding": "gzip"})
    plain = client.get(script, headers={"Accept-Encoding": "identity"})
    assert (packed.headers["content-encoding"], "content-encoding" in plain.headers) == ("gzip", False)
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < 17_000 < int(plain.headers["content-length"])


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_small(client: Client, path: str) -> None:
    answer = client.get(path)
    files = {link for link in Page(answer.text).links if link.startswith("/static/")}
    assert len(answer.content) + sum(len(client.get(link).content) for link in files) < 100_000


def test_the_process_shows_pages_without_any_other_service(tmp_path: Path) -> None:
    variables = {"CONSOLE_REPOSITORY": str(promoted(tmp_path / "repository.git").path)}
    variables |= {f"CONSOLE_{name}_URL": NOWHERE for name in ("COLLECTOR", "FORECAST", "DECISION")}
    with listener() as bound, running("apps.console", variables, bound) as process:
        assert httpx.get(f"{process.url}/health").json() == {"status": "ok"}
        assert httpx.get(process.url).headers["location"] == "/sign-in"
        assert "Nobody can sign in" in httpx.get(f"{process.url}/sign-in").text
        process.lose_parent()
        assert process.ended()[0] == 0


def test_a_turkish_page_says_in_turkish_what_does_not_answer(tmp_path: Path) -> None:
    promoted(tmp_path / "repository.git")
    with signed_in(settings(tmp_path / "repository.git")) as client:
        turkish = {"Accept-Language": "tr"}
        now, data = (client.get(path, headers=turkish).text for path in ("/", "/data"))
    for page in (now, data):
        assert f"</strong> forecast hizmeti {NOWHERE} adresinde yanıt vermiyor" in page
        assert english(page) == []
    assert f"collector hizmeti {NOWHERE} adresinde" in now
