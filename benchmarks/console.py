"""How fast the console's pages begin where there is much to show: `python -m benchmarks.console --products 100000`.

A forecast service with so many products and the past of each, a forge with so many releases, pull requests and
evidence, an MLflow server with so many versions, a decision service and the console, each a process of its own on this
machine. Every page is asked for some times over a kept connection; the time is that to its first byte. One JSON object
on stdout; the exit code is 1 when the median of a page was above `--at-most` milliseconds, or when a page and what it
loads were larger than 100 kB.
"""

import argparse
import gzip
import hashlib
import json
import re
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx

from apps.chassis.keys import Role
from apps.console.users import User
from ml.forecasting import encoded
from ml.model_store import ModelStore
from ml.past import MOST_MONTHS, PRODUCTS_IN_PART, part_of
from tests.apps.console.many_versions import register
from tests.apps.console.repository import evidence
from tests.apps.console.signed_in import form_token
from tests.apps.forecast.store import DATA_VERSION, VERSION, Shop, stored_shop
from tests.apps.process import listener, running
from tests.mlflow_server import mlflow_server
from tests.scripts.promotions_at_scale import Promotion, Writer, story

CATEGORIES: Final = 40
PAGES: Final = (
    *("/", "/products", "/products?search=9", "/products?search=x99&category=c7", "/products/X{run:06}"),
    *("/portfolio", "/models", "/models?challengers=960", "/models?from=4000"),
    *("/data", "/drift", "/releases", "/releases?from=9000", "/alarms"),
)
"""`run` is another product each time, so that each is of a part of the past that is not in memory."""
MOST_BYTES: Final = 100_000
ENVIRONMENT: Final = "production"
READ_SECONDS: Final = 300
TOLD: Final = 12
"""Months of a product's past of which a forecast is known."""


def main() -> int:
    """Build it, ask for every page, say how long it took."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="console-") as folder, ExitStack() as stack:
        client = stack.enter_context(
            console(Path(folder), options.products, options.releases, options.models)
        )
        known = _read_all(client)
        pages = {path: _measured(client, path, options.runs) for path in PAGES}
        export = _exported(client)
    told = {
        "products": options.products,
        "releases": options.releases,
        "models": options.models,
        "all_known_after_seconds": round(known, 1),
        "pages": pages,
        "forecasts_csv": export,
    }
    print(json.dumps(told))
    slow = any(page["median_ms"] > options.at_most for page in pages.values())
    large = any(page["compressed_bytes"] > MOST_BYTES for page in pages.values())
    return int(slow or large)


@contextmanager
def console(folder: Path, products: int, releases: int, models: int) -> Iterator[httpx.Client]:
    """A client that is signed in at a console in front of all of it."""
    shop = many_products(folder / "store", products)
    many_releases(folder / "repository.git", releases)
    user, password = User.with_password("vera", frozenset({Role.viewer}))
    (folder / "users.jsonl").write_text(user.model_dump_json() + "\n")
    register(folder / "mlflow", models)
    _numbered_from(folder / "mlflow", releases)
    with ExitStack() as stack:

        def start(module: str, variables: dict[str, str]) -> str:
            return stack.enter_context(running(module, variables, stack.enter_context(listener()))).url

        forecast = start("apps.forecast", shop.variables())
        decision = start("apps.decision", {"DECISION_FORECAST_URL": forecast})
        variables = {
            "CONSOLE_ENVIRONMENT": ENVIRONMENT,
            "CONSOLE_SESSION_KEY": "s" * 32,
            "CONSOLE_FORECAST_URL": forecast,
            "CONSOLE_DECISION_URL": decision,
            "CONSOLE_REPOSITORY": str(folder / "repository.git"),
            "CONSOLE_FORGE": str(folder / "repository.git"),
            "CONSOLE_MODEL_REGISTRY": stack.enter_context(mlflow_server(folder / "mlflow")),
            "CONSOLE_USERS_FILE": str(folder / "users.jsonl"),
        }
        url = start("apps.console", variables)
        client = stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=60.0))
        client.event_hooks["response"].append(lambda answer: _keep_cookies(client, answer))
        form = {"form": form_token(client.get("/sign-in").text), "name": "vera", "password": password}
        client.post("/sign-in", data=form)
        yield client


def _keep_cookies(client: httpx.Client, answer: httpx.Response) -> None:
    """Cookies of an environment are for TLS alone, which this client does without."""
    kept = dict(each.split("=", 1) for each in client.headers.get("cookie", "").split("; ") if each)
    for header in answer.headers.get_list("set-cookie"):
        name, _, value = header.partition(";")[0].partition("=")
        kept[name] = value
    client.headers["cookie"] = "; ".join(f"{name}={value}" for name, value in kept.items())


def _read_all(client: httpx.Client) -> float:
    """Seconds until releases, audit and registered versions are known."""
    began = time.perf_counter()
    wanted = {"/releases": "audit.json", "/models": "challengers="}
    while time.perf_counter() - began < READ_SECONDS:
        pages = {path: client.get(path).text for path in wanted}
        if (
            all(text in pages[path] for path, text in wanted.items())
            and "still being" not in pages["/releases"]
        ):
            return time.perf_counter() - began
        time.sleep(0.5)
    raise SystemExit(f"not everything was known after {READ_SECONDS} s")


def many_products(root: Path, products: int) -> Shop:
    """A small shop's snapshot whose answers are those of many products, X000000 on, in `CATEGORIES` categories."""
    shop = stored_shop(root)
    path = shop.write_snapshot(told={})
    head, *answers = path.read_bytes().split(b"\n")[1:-1]
    header = json.loads(head)
    ids = [f"X{number:06}" for number in range(products)]
    lines = [_renamed(answers[k % len(answers)], name, f"c{k % CATEGORIES}") for k, name in enumerate(ids)]
    group = {"mean": 10.0 * products / CATEGORIES, "products": products // CATEGORIES}
    header |= {
        "products": products,
        "product_ids": ids,
        "category_forecasts": {f"c{k}": group for k in range(CATEGORIES)},
        "past_parts": _write_past(shop, ids),
    }
    body = b"\n".join([encoded(header), *lines]) + b"\n"
    label = encoded({"format": 1, "sha256": hashlib.sha256(body).hexdigest()})
    path.write_bytes(label + b"\n" + body)
    return shop


def _write_past(shop: Shop, ids: list[str]) -> int:
    """Five years of each product, and what had been forecast of the last of them; the number of its parts."""
    months = [f"{year}-{month:02}" for year in range(2021, 2026) for month in range(1, 13)][-MOST_MONTHS:]
    parts: list[dict[str, Mapping[str, object]]] = [{} for _ in range(-(-len(ids) // PRODUCTS_IN_PART))]
    for number, name in enumerate(ids):
        units = [(number * 7 + month * 13) % 40 for month in range(len(months))]
        told = [
            {"month": month, "model_version": VERSION, "mean": 19.5, "p10": 3, "p90": 37}
            for month in months[-TOLD:]
        ]
        parts[part_of(name, len(parts))][name] = {
            "first_month": months[0],
            "units": units,
            "forecasts": told,
        }
    ModelStore(shop.root).put_past(shop.model_sha256, DATA_VERSION, [encoded(part) for part in parts])
    return len(parts)


def _renamed(answer: bytes, product_id: str, category: str) -> bytes:
    rest = answer[answer.index(b',"month":') :]
    return encoded({"product_id": product_id, "category": category})[:-1] + rest


def many_releases(path: Path, releases: int) -> None:
    """A forge whose trunk has at least so many releases of production, a tenth of them rollbacks and reverts."""
    writer, changes = Writer(path), []
    for change in story(releases, {}):
        if isinstance(change, Promotion):
            shown = evidence("mix", environment=change.environment)
            change.evidence |= {"model": shown["model"], "benchmark": shown["benchmark"]}
            change.write()
        writer.put(change)
        changes.append(change)
    writer.close(changes)


def _numbered_from(folder: Path, first: int) -> None:
    """The versions of a registry as they would be with so many before them, so that all of them are challengers."""
    with sqlite3.connect(folder / "server.sqlite") as database:
        for table in ("model_versions", "model_version_tags", "registered_model_aliases"):
            database.execute(f"UPDATE {table} SET version = version + {int(first)}")  # noqa: S608 - numbers


def _measured(client: httpx.Client, path: str, runs: int) -> dict[str, float]:
    """Milliseconds to the first byte, the slowest and the median, after one that was not counted; bytes."""
    page = client.get(path.format(run=0))
    if page.status_code != httpx.codes.OK:
        raise SystemExit(f"{path} answered {page.status_code}")
    passed = []
    for run in range(1, runs + 1):
        start = time.perf_counter()
        with client.stream("GET", path.format(run=run * 997)) as answer:
            next(answer.iter_raw())
            passed.append((time.perf_counter() - start) * 1000)
    files = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text))
    loaded = sum(len(gzip.compress(client.get(link).content)) for link in files)
    return {
        "median_ms": round(statistics.median(passed), 1),
        "most_ms": round(max(passed), 1),
        "page_bytes": len(page.content),
        "compressed_bytes": len(gzip.compress(page.content)) + loaded,
        "requests": 1 + len(files),
    }


def _exported(client: httpx.Client) -> dict[str, float]:
    """How long the file of all forecasts takes, and when it begins."""
    start, size, first = time.perf_counter(), 0, 0.0
    with client.stream("GET", "/exports/forecasts.csv") as answer:
        for part in answer.iter_raw():
            first = first or time.perf_counter() - start
            size += len(part)
    seconds = time.perf_counter() - start
    return {"first_byte_ms": round(first * 1000, 1), "seconds": round(seconds, 1), "bytes": size}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--products", type=int, default=100_000, help="with a forecast [%(default)s]")
    parser.add_argument("--releases", type=int, default=10_000, help="promotions on the trunk [%(default)s]")
    parser.add_argument("--models", type=int, default=1_000, help="versions in MLflow [%(default)s]")
    parser.add_argument("--runs", type=int, default=20, help="of each page [%(default)s]")
    parser.add_argument("--at-most", type=float, default=200.0, help="milliseconds, median [%(default)s]")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
