"""How fast the console's pages begin where there is much to show: `python -m benchmarks.console --products 100000`.

A forecast service with so many products, a repository with so many releases and so many models of which it holds the
evidence, a decision service and the console, each a process of its own on this machine. Every page is asked for some
times over a kept connection; the time is that to its first byte. One JSON object on stdout; the exit code is 1 when
the median of a page was above `--at-most` milliseconds, or when a page and what it loads were larger than 100 kB.
"""

import argparse
import gzip
import hashlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx

from apps.chassis.keys import Role
from apps.console.users import User
from ml.forecasting import encoded
from tests.apps.console.repository import evidence
from tests.apps.console.signed_in import form_token
from tests.apps.forecast.store import Shop, stored_shop
from tests.apps.process import listener, running
from tests.scripts.promotions_at_scale import RELEASE

CATEGORIES: Final = 40
PAGES: Final = (
    *("/", "/products", "/products?search=9", "/products?search=x99&category=c7", "/products/X000042"),
    *("/portfolio", "/models", "/data", "/drift", "/releases", "/alarms"),
)
MOST_BYTES: Final = 100_000


def main() -> int:
    """Build it, ask for every page, say how long it took."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="console-") as folder, ExitStack() as stack:
        client = stack.enter_context(
            console(Path(folder), options.products, options.releases, options.models)
        )
        pages = {path: _measured(client, path, options.runs) for path in PAGES}
        export = _exported(client)
    told = {
        "products": options.products,
        "releases": options.releases,
        "models": options.models,
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
    many_releases(folder / "repository.git", releases, models)
    user, password = User.with_password("vera", frozenset({Role.viewer}))
    (folder / "users.jsonl").write_text(user.model_dump_json() + "\n")
    with ExitStack() as stack:

        def start(module: str, variables: dict[str, str]) -> str:
            return stack.enter_context(running(module, variables, stack.enter_context(listener()))).url

        forecast = start("apps.forecast", shop.variables())
        decision = start("apps.decision", {"DECISION_FORECAST_URL": forecast})
        variables = {
            "CONSOLE_FORECAST_URL": forecast,
            "CONSOLE_DECISION_URL": decision,
            "CONSOLE_REPOSITORY": str(folder / "repository.git"),
            "CONSOLE_USERS_FILE": str(folder / "users.jsonl"),
        }
        url = start("apps.console", variables)
        client = stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=60.0))
        form = {"form": form_token(client.get("/sign-in").text), "name": "vera", "password": password}
        client.post("/sign-in", data=form)
        yield client


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
        "past_parts": 0,
    }
    body = b"\n".join([encoded(header), *lines]) + b"\n"
    label = encoded({"format": 1, "sha256": hashlib.sha256(body).hexdigest()})
    path.write_bytes(label + b"\n" + body)
    return shop


def _renamed(answer: bytes, product_id: str, category: str) -> bytes:
    rest = answer[answer.index(b',"month":') :]
    return encoded({"product_id": product_id, "category": category})[:-1] + rest


def many_releases(path: Path, releases: int, models: int) -> None:
    """A bare repository whose trunk is so many promotions, the newest of them of so many models with evidence."""
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)], check=True)
    stream: list[str] = []
    for number in range(1, releases + 1):
        version = max(1, number - releases + models)
        at = 1_600_000_000 + number * 3600
        stream.append(f"commit refs/heads/main\ncommitter Ada <ada@shop.example> {at} +0000\n")
        stream.append(_data(f"local: model {version}, image {number:07x}\n\nRequested-by: ada\n"))
        release = RELEASE.format(
            image_tag=f"{number:07x}",
            model_version=version,
            model_sha256=hashlib.sha256(str(version).encode()).hexdigest(),
        )
        stream.append(f"M 100644 inline environments/local/release.yaml\n{_data(release)}")
        if number > releases - models:
            name = f"environments/local/evidence/{version}-{number:07x}.json"
            stream.append(f"M 100644 inline {name}\n{_data(json.dumps(evidence('mix')))}")
    command = ["git", "--git-dir", str(path), "fast-import", "--quiet"]
    subprocess.run(command, input="".join(stream).encode(), check=True)


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}\n"


def _measured(client: httpx.Client, path: str, runs: int) -> dict[str, float]:
    """Milliseconds to the first byte, the slowest and the median, after one that was not counted; bytes."""
    page = client.get(path)
    if page.status_code != httpx.codes.OK:
        raise SystemExit(f"{path} answered {page.status_code}")
    passed = []
    for _ in range(runs):
        start = time.perf_counter()
        with client.stream("GET", path) as answer:
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
    parser.add_argument("--releases", type=int, default=10_000, help="on the trunk [%(default)s]")
    parser.add_argument("--models", type=int, default=1_000, help="with evidence [%(default)s]")
    parser.add_argument("--runs", type=int, default=20, help="of each page [%(default)s]")
    parser.add_argument("--at-most", type=float, default=200.0, help="milliseconds, median [%(default)s]")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
