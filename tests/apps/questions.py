"""A seeded planner that asks forecast and decision service what it likes, and remembers what they said.

    python -m tests.apps.questions --cases 50000 --seed 7

prints one JSON object; `faults` must be empty. Snapshots are exchanged under it. Each answer is held against the
OpenAPI document of its service, and against what was said before: a product of one snapshot has one forecast, what was
listed is found, a forecast with a price can be decided from.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import httpx

from ml.product_history import ProductHistory
from tests.apps.documents import Document
from tests.apps.forecast.store import DATA_VERSION, KEY, Shop, a_month_later, stored_shop
from tests.apps.odd_values import Odd
from tests.apps.process import Process, listener, running

LATER = "2026-01.aaaaaaaaaaaa"
MOST_FAULTS = 20
NUMBERS = (
    *("price_cents", "cost_cents", "salvage_cents", "holding_cents", "goodwill_cents", "on_hand_units"),
    *("on_order_units", "pack_units", "minimum_order_units", "lead_time_months", "review_months"),
    *("month_correlation", "cvar_share", "ad_spend_cents", "ad_elasticity", "ad_elasticity_error"),
)
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "TRACE")


class Campaign:
    """Questions to both services, taken in turn at random."""

    def __init__(self, shop: Shop, forecast: Process, decision: Process, seed: int) -> None:
        self.random, self.shop = Random(seed), shop  # noqa: S311
        self.odd = Odd(self.random)
        self.clients = {
            name: httpx.Client(base_url=process.url, timeout=60)
            for name, process in (("forecast", forecast), ("decision", decision))
        }
        self.documents = {
            name: Document(client.get("/openapi.json").json()) for name, client in self.clients.items()
        }
        self.faults: list[str] = []
        self.seen: Counter[str] = Counter()
        self.snapshots = {
            DATA_VERSION: shop.history,
            LATER: a_month_later(shop.history),
        }
        self.version = DATA_VERSION
        self.said: dict[tuple[str, str], bytes] = {}
        self.listed: list[str] = ["P0004"]
        self.cursor = ""
        self.forecast: dict[str, Any] = {}
        self.histories = {version: self._histories(version) for version in self.snapshots}

    def run(self, cases: int) -> dict[str, Any]:
        """What was answered how often, and what was wrong."""
        questions: list[tuple[int, Callable[[], None]]] = [
            *((20, self._product), (12, self._live), (12, self._decision), (6, self._list)),
            *(
                (6, self._portfolio),
                (6, self._plain),
                (4, self._bytes),
                (4, self._elsewhere),
                (1, self._reload),
            ),
        ]
        weights, asked = [weight for weight, _ in questions], [ask for _, ask in questions]
        while self.seen.total() < cases and len(self.faults) < MOST_FAULTS:
            self.random.choices(asked, weights)[0]()
        for client in self.clients.values():
            client.close()
        return {"cases": self.seen.total(), "answers": dict(sorted(self.seen.items())), "faults": self.faults}

    def ask(
        self, service: str, method: str, template: str | None, path: str, **options: Any
    ) -> httpx.Response:
        """The answer, once its document was asked about it."""
        answer = self.clients[service].request(method, path, **options)
        self.seen[f"{service} {method if template else 'other'} {template or ''} {answer.status_code}"] += 1
        fault = self.documents[service].fault(template, answer)
        if fault is not None:
            self._note(
                f"{fault}: {service} {method} {path[:200]} {str(options)[:600]} -> {answer.text[:300]}"
            )
        return answer

    def _product(self) -> None:
        product_id = self.random.choice(
            [*self.listed, self.odd.text(), self.random.choice(self.listed).lower()]
        )
        if not product_id.strip() or product_id in {".", ".."}:
            return
        answer = self.ask(
            "forecast", "GET", "/forecast/{product_id}", f"/forecast/{quote(product_id, safe='')}"
        )
        if answer.status_code == httpx.codes.OK:
            self.forecast = answer.json()
            name = self.forecast["product_id"], self.forecast["data_version"]
            if self.said.setdefault(name, answer.content) != answer.content:
                self._note(f"two forecasts of {name}")
            if self.forecast["data_version"] != self.version:
                self._note(f"a forecast of {name} after a reload to {self.version}")
        elif product_id in self.listed:
            self._note(f"{product_id} was listed, and is answered with {answer.status_code}")

    def _list(self) -> None:
        options = {
            "category": self.random.choice([None, None, "a, b", self.odd.text()]),
            "search": self.random.choice(["", "P00", self.odd.text()]),
            "cursor": self.random.choice([self.cursor, "", self.odd.text()]),
            "limit": self.random.choice([1, 3, 1000, 0, -1, 10**30, "x", 1.5]),
        }
        parameters = {
            name: value for name, value in options.items() if value is not None and self.odd.likely()
        }
        answer = self.ask("forecast", "GET", "/forecast", "/forecast", params=parameters)
        if answer.status_code == httpx.codes.OK:
            page = answer.json()
            self.cursor = page["next_cursor"] or ""
            self.listed = [each["product_id"] for each in page["forecasts"]][:50] or self.listed

    def _live(self) -> None:
        sent: Any = self.random.choice(self.histories[self.version])
        whole = self.odd.likely()
        body = sent if whole else self.odd.mangled(sent)
        if self.random.random() < 0.2:
            body = [body, *self.random.choices(self.histories[self.version], k=3)]
        answer = self.ask("forecast", "POST", "/forecast", "/forecast", json=body)
        if whole and answer.status_code != httpx.codes.OK:
            self._note(f"a whole history of {sent['product_id']} is answered with {answer.text[:300]}")
        if answer.status_code == httpx.codes.OK and isinstance(body, dict):
            self.forecast = answer.json()

    def _decision(self) -> None:
        product_id = self.random.choice([*self.listed[:3], self.odd.text()])
        if self.random.random() < 0.3 and product_id.strip(". \t\n"):
            path = f"/decision/{quote(product_id, safe='')}"
            self.ask("decision", "GET", "/decision/{product_id}", path)
            return
        body: dict[str, Any] = {"economics": self._numbers()} if self.odd.likely() else {}
        whole = not body and self.forecast.get("price_cents") is not None
        if whole:
            body["forecast"] = self.forecast
        elif self.odd.likely() and self.forecast:
            body["forecast"] = self.odd.mangled(self.forecast)
        else:
            body["product_id"] = product_id
        if not whole and self.random.random() < 0.2:
            body["ad_history"] = self.odd.mangled({"spend_cents": [100, 200, 0], "units": [1.0, 2.5, 0.0]})
        answer = self.ask("decision", "POST", "/decision", "/decision", json=body)
        if whole and answer.status_code != httpx.codes.OK:
            self._note(f"no decision from a forecast that was given: {answer.text[:300]}")

    def _portfolio(self) -> None:
        body: dict[str, Any] = {
            "budget_cents": self.random.choice([0, 10_000, 10**12]),
            "category": self.random.choice([None, "a, b", self.odd.text()]),
            "economics": self._numbers(),
            "products": {name: self._numbers() for name in self.listed[:2]},
            "ad_budget_cents": self.random.choice([None, 0, 10**6]),
            "next_steps": self.random.choice([0, 5, 1000]),
        }
        sent = {name: value for name, value in body.items() if name == "budget_cents" or self.odd.likely()}
        sent = sent if self.odd.likely() else self.odd.mangled(sent)
        self.ask("decision", "POST", "/decision/portfolio", "/decision/portfolio", json=sent)

    def _plain(self) -> None:
        service = self.random.choice(["forecast", "decision"])
        path = self.random.choice([path for path in self.documents[service].paths if "{" not in path])
        if "get" in self.documents[service].paths[path]:
            self.ask(service, "GET", path, path)
        template = self.random.choice(
            ["/categories/{category}", "/nowcast/{product_id}", "/past/{product_id}"]
        )
        name = quote(
            self.random.choice(["a, b", *self.listed[:3], self.odd.text()]).strip(". \n") or "x", safe=""
        )
        self.ask("forecast", "GET", template, f"{template.partition('{')[0]}{name}")

    def _bytes(self) -> None:
        """A body that is not JSON, is cut, or says that it is something else."""
        service, path = self.random.choice(
            [("forecast", "/forecast"), ("decision", "/decision"), ("decision", "/decision/portfolio")]
        )
        whole = json.dumps(self.random.choice(self.histories[self.version])).encode()
        content = bytearray(whole[: self.random.randrange(len(whole))])
        for _ in range(self.random.randrange(4)):
            content.insert(self.random.randrange(len(content) + 1), self.random.randrange(256))
        kind = self.random.choice(["application/json", "text/plain", "", "application/json; charset=x", "x"])
        self.ask(service, "POST", path, path, content=bytes(content), headers={"Content-Type": kind})

    def _elsewhere(self) -> None:
        """No route, or none for this method."""
        service = self.random.choice(["forecast", "decision"])
        method, paths = self.random.choice(METHODS), self.documents[service].paths
        path = self.random.choice([*paths, "/", "/nothing", f"/{quote(self.odd.text())}"])
        template = path if method.lower() in paths.get(path, {}) else None
        if template is None and "{" not in path and not path.startswith("//"):
            self.ask(service, method, None, path)

    def _reload(self) -> None:
        """Another snapshot takes over, or the key is wrong and nothing does."""
        if not self.odd.likely():
            key = {"X-API-Key": self.random.choice(["", "x" * 16])} if self.odd.likely() else {}
            self.ask("forecast", "POST", "/reload", "/reload", headers=key)
            return
        following = LATER if self.version == DATA_VERSION else DATA_VERSION
        for path in (self.shop.root / "snapshots" / self.shop.model_sha256).iterdir():
            path.unlink()
        self.shop.write_snapshot(history=self.snapshots[following], data_version=following)
        self.version, self.listed = following, ["P0004"]
        told = self.ask("forecast", "POST", "/reload", "/reload", headers={"X-API-Key": KEY}).json()
        if told.get("serving", {}).get("data_version") != following:
            self._note(f"a reload to {following} gave {told}")

    def _histories(self, version: str) -> list[dict[str, Any]]:
        history = self.snapshots[version]
        return [ProductHistory.of(history, row).model_dump() for row in range(history.n)]

    def _numbers(self) -> dict[str, Any]:
        names = self.random.sample(NUMBERS, self.random.randrange(4))
        return {name: self.odd.value(self.random.choice([1, 100, 0.5, 0, 12])) for name in names}

    def _note(self, fault: str) -> None:
        self.faults.append(fault)


def campaign(folder: Path, cases: int, seed: int) -> dict[str, Any]:
    """So many questions to two new processes, and how much memory they took on."""
    shop = stored_shop(folder / "store")
    shop.write_snapshot()
    with ExitStack() as stack:

        def started(module: str, variables: dict[str, str]) -> Process:
            return stack.enter_context(running(module, variables, stack.enter_context(listener())))

        forecast = started("apps.forecast", shop.variables())
        decision = started("apps.decision", {"DECISION_FORECAST_URL": forecast.url})
        began = time.monotonic()
        found = Campaign(shop, forecast, decision, seed).run(cases)
        return found | {"seed": seed, "seconds": round(time.monotonic() - began)}


def main() -> int:
    """0 when nothing was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        report = campaign(Path(folder), options.cases, options.seed)
    sys.stdout.write(json.dumps(report) + "\n")
    return int(bool(report["faults"]))


if __name__ == "__main__":
    raise SystemExit(main())
