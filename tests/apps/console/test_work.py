"""What a page asks of services, however many products there are: counted, since times depend on the machine.

`python -m benchmarks.console` measures the times.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.chassis.outgoing import Caller
from tests.apps.client import Client
from tests.apps.console.repository import Forge, evidence, promoted, release
from tests.apps.console.signed_in import signed_in
from tests.apps.console.test_console import settings

MOST_ON_A_PAGE = 25


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, forecast_url: str, decision_url: str
) -> Iterator[Client]:
    forge = promoted(tmp_path_factory.mktemp("forge") / "repository.git")
    with signed_in(settings(forge.path, forecast_url=forecast_url, decision_url=decision_url)) as client:
        yield client


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[httpx.URL]:
    """Addresses of services that were asked, in order."""
    urls: list[httpx.URL] = []
    send = Caller.send

    async def counted(self: Caller, request: httpx.Request, **options: Any) -> httpx.Response:
        urls.append(request.url)
        return await send(self, request, **options)

    monkeypatch.setattr(Caller, "send", counted)
    return urls


@pytest.mark.parametrize(
    ("path", "questions"),
    [
        ("/products", ["/categories", "/forecast"]),
        ("/products?search=p00&category=kitchen", ["/categories", "/forecast"]),
        ("/products/P0003", ["/decision", "/forecast/P0003", "/past/P0003"]),
        ("/portfolio", ["/categories"]),
    ],
)
def test_a_page_asks_as_often_whatever_is_in_the_shop(
    client: Client, asked: list[httpx.URL], path: str, questions: list[str]
) -> None:
    assert client.get(path).status_code == 200
    assert sorted(url.path for url in asked) == questions
    limits = [int(url.params["limit"]) for url in asked if url.path == "/forecast"]
    assert all(limit == MOST_ON_A_PAGE for limit in limits)


def test_a_file_asks_by_page_and_goes_on_where_the_last_page_ended(
    client: Client, asked: list[httpx.URL], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.console.bulk.PAGE", 15)
    assert client.get("/exports/forecasts.csv").text.count("\n") == 41
    assert [url.params["cursor"] for url in asked] == ["", "P0014", "P0029"]


def test_releases_and_models_are_shown_by_page_and_evidence_on_its_own(tmp_path: Path) -> None:
    """60 releases, 45 of them with evidence: each is on one page, and no page has more than its part."""
    forge = Forge(tmp_path / "repository.git")
    for number in range(1, 61):
        paper = {f"evidence/{number}-9c0d7e2.json": evidence("mix")} if number > 15 else {}
        forge.release(f"local: model {number}", release(number), paper)
    with signed_in(settings(tmp_path / "repository.git")) as client:
        first, second = (client.get(f"/releases?from={start}").text for start in (0, 50))
        assert (first.count("/releases/commits/"), second.count("/releases/commits/")) == (50, 10)
        assert (first.count(">live</span>"), second.count(">live</span>")) == (1, 0)
        found = [
            re.findall(r'id="(\d+-\w+)-title"', client.get(f"/models?from={n}").text) for n in (0, 20, 40)
        ]
        assert [len(names) for names in found] == [20, 20, 5]
        assert len({name for names in found for name in names}) == 45
        link = re.findall(r'href="(/models\?release=[^"]+)#', first)[-1]
        assert f'id="{link.partition("=")[2]}"' in client.get(link).text
        for odd in ("-5", "x", "9" * 30):
            assert client.get(f"/releases?from={odd}").status_code == 200
