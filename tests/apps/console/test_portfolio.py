"""One budget for many products: the form as people fill it in, the page, and files that spreadsheets cannot run."""

import csv
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from apps.console.csv_files import BYTE_ORDER_MARK, FORMULA, Cell, csv_file, lines
from apps.console.portfolio_form import BadLine, at_hand, portfolio_request
from apps.console.what_if import NotANumber, whole
from tests.apps.client import Client
from tests.apps.console.repository import promoted
from tests.apps.console.signed_in import form_token, signed_in
from tests.apps.console.test_console import Page, settings


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, forecast_url: str, decision_url: str
) -> Iterator[Client]:
    forge = promoted(tmp_path_factory.mktemp("forge") / "repository.git")
    with signed_in(settings(forge.path, forecast_url=forecast_url, decision_url=decision_url)) as client:
        yield client


def send(client: Client, path: str = "/portfolio", **fields: str) -> httpx.Response:
    token = form_token(client.get("/portfolio").text)
    return client.post(path, data={"form": token, **fields})


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


@pytest.mark.parametrize(
    ("text", "language", "cents"),
    [("1,250.50", "en", 125_050), ("1.250,50", "tr", 125_050), ("12.5", "en", 1250), ("12,5", "tr", 1250)],
)
def test_money_is_read_as_the_language_writes_it(text: str, language: str, cents: int) -> None:
    assert whole("budget", text, language, is_money=True) == cents


@pytest.mark.parametrize("text", ["", "x", "-1", "1.234", "1e15", "9" * 20, "NaN", "Infinity"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(NotANumber):
        portfolio_request({"budget": text}, "en")


@pytest.mark.parametrize("line", ["p1;3;2", "P1\t3\t2", "p1, 3, 2", " P1 ; 3;2 "])
def test_stock_is_read_with_any_separator(line: str) -> None:
    (numbers,) = at_hand(f"\n{line}\n", "en").values()
    assert (numbers.on_hand_units, numbers.on_order_units) == (3, 2)
    assert list(at_hand(line, "en")) == ["P1"]


def test_thousands_are_not_taken_for_two_numbers() -> None:
    assert at_hand("P1;1,250", "en")["P1"].on_hand_units == 1250
    assert at_hand("P1;1.250", "tr")["P1"].on_hand_units == 1250


@pytest.mark.parametrize("line", ["P1", "P1;x", "P1;1;2;3", ";3", "P1;-1", "P1;1.5", "P0;1"])
def test_a_line_that_cannot_be_read_is_named(line: str) -> None:
    with pytest.raises(BadLine) as caught:
        at_hand(f"P0;1\n\n{line}", "en")
    assert caught.value.number == 3


def test_orders_are_those_of_the_decision_service(client: Client, decision_url: str) -> None:
    asked = {"budget_cents": 100_000, "products": {"P0003": {"on_hand_units": 4}}}
    told = httpx.post(f"{decision_url}/decision/portfolio", json=asked).json()
    answer = send(client, budget="1,000.00", at_hand="P0003;4")
    found = Page(answer.text)
    assert answer.status_code == 200
    assert f"{told['spend_cents'] / 100:,.2f}" in found.text
    assert f"{told['expected_profit_cents'] / 100:,.2f}" in found.text
    for order in told["orders"]:
        assert f" {order['cost_cents'] / 100:,.2f} " in found.text
    assert f" {told['next_units'][0]['expected_gain_cents'] / 100:,.2f} " in found.text
    assert "P0003;4" in found.text
    made = rows(send(client, "/portfolio.csv", budget="1,000.00", at_hand="P0003;4"))
    assert sum(int(row["cost_cents"]) for row in made if row["list"] == "order") == told["spend_cents"]
    assert sum(row["list"] == "order" for row in made) == len(told["orders"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"budget": "much"}, "“much” cannot be read."),
        ({"budget": "10", "at_hand": "P1;1\n<b>;x"}, "Line 2 cannot be read: “<b>;x”."),
    ],
)
def test_a_form_that_cannot_be_read_comes_back_with_what_was_written(
    client: Client, fields: dict[str, str], said: str
) -> None:
    answer = send(client, **fields)
    assert answer.status_code == 422
    assert said in Page(answer.text).text
    assert send(client, "/portfolio.csv", **fields).status_code == 422


def test_without_the_decision_service_the_page_says_so_and_the_file_is_refused(tmp_path: Path) -> None:
    forge = promoted(tmp_path / "repository.git")
    with signed_in(settings(forge.path)) as client:
        answer = send(client, budget="10")
        assert (answer.status_code, "decision does not answer" in answer.text) == (200, True)
        assert send(client, "/portfolio.csv", budget="10").status_code == 503
        assert client.get("/exports/forecasts.csv").status_code == 503


def test_the_page_asks_in_turkish_and_reads_turkish_numbers(client: Client) -> None:
    token = form_token(client.get("/portfolio").text)
    answer = client.post(
        "/portfolio", data={"form": token, "budget": "1.000,00"}, headers={"Accept-Language": "tr"}
    )
    assert "toplam bütçe: 1.000,00" in Page(answer.text).text


def test_forecasts_as_a_file_are_those_of_the_service(client: Client, forecast_url: str) -> None:
    told = httpx.get(f"{forecast_url}/forecast", params={"limit": 1000}).json()["forecasts"]
    made = rows(client.get("/exports/forecasts.csv"))
    assert [row["product_id"] for row in made] == [each["product_id"] for each in told]
    for row, each in zip(made, told, strict=True):
        assert float(row["mean"]) == each["mean"]
        assert [float(row[name]) for name in ("p05", "p50", "p99")] == [
            each["quantiles"][level] for level in ("0.05", "0.50", "0.99")
        ]
    one = rows(client.get("/exports/products.csv", params={"search": "p0003"}))
    assert [row["product_id"] for row in one] == ["P0003"]
    assert rows(client.get("/exports/products.csv", params={"search": "nothing"})) == []


def test_decisions_as_a_file_are_those_of_the_service(client: Client, decision_url: str) -> None:
    told = httpx.get(f"{decision_url}/decision/P0003").json()
    (row,) = rows(client.get("/exports/decisions.csv", params={"search": "p0003"}))
    assert int(row["order_units"]) == told["stock"]["order_units"]
    assert (row["reason_tr"], row["risk"]) == (told["reason_tr"], told["risk"]["level"])


@pytest.mark.parametrize("start", FORMULA)
def test_a_text_that_a_spreadsheet_would_compute_is_text(start: str) -> None:
    ((text, number),) = csv.reader(io.StringIO(lines([[f"{start}cmd|' /C calc'!A0", -3.5]]), newline=""))
    assert text == f"'{start}cmd|' /C calc'!A0"
    assert number == "-3.5"


def test_other_texts_stay_and_none_is_empty() -> None:
    assert lines([["P1", None, 'a"b', "SHELF/9 Ş", 0]]) == 'P1,,"a""b",SHELF/9 Ş,0\r\n'
    assert BYTE_ORDER_MARK.encode() == b"\xef\xbb\xbf"


def test_a_file_that_cannot_be_ended_breaks_off() -> None:
    """An end would look like all rows."""

    async def chunks() -> AsyncIterator[list[list[Cell]]]:
        yield [["first"]]
        raise ConnectionError("gone")

    sent: list[object] = []

    async def read() -> None:
        answer = await csv_file("x.csv", ["column"], chunks())
        async for part in answer.body_iterator:
            sent.append(part)  # noqa: PERF401 - what came before the end is looked at

    with pytest.raises(ConnectionError):
        anyio.run(read)
    assert sent == [f"{BYTE_ORDER_MARK}column\r\nfirst\r\n"]
