"""What asking who is there costs a request: `python -m benchmarks.access`.

CPU time of this process for an answer of `GET /forecast/{product_id}` with the whole edge around it, in the process and
without a socket; the ways to come in take turns, and the median of the rounds counts. Beside it a token's first check,
and a question to a real Redis (`redis-server`), whose own time is not in it. One JSON object on stdout, microseconds.
"""

import argparse
import asyncio
import itertools
import json
import logging
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from apps.chassis.limits import Limit
from apps.chassis.redis_buckets import RedisBuckets
from apps.chassis.signing_keys import SigningKeys
from apps.chassis.tokens import Tokens
from apps.forecast.main import create
from tests.apps.credentials import ENVIRONMENT, stored
from tests.apps.forecast.store import stored_shop
from tests.apps.identity_provider import AUDIENCE, Provider, provider
from tests.redis_server import redis_server

PLENTY = Limit(1e6, 1_000_000)
FRESH_TOKENS, QUESTIONS = 200, 500

Once = Callable[[], Awaitable[object]]


def main() -> None:
    """Measure and say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=3_000, help="in a round")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a log line costs all the same
    with tempfile.TemporaryDirectory() as folder, provider() as idp:
        told = asyncio.run(requests(Path(folder), idp, options.rounds, options.requests))
        told |= asyncio.run(first_checks(idp, options.rounds)) | asyncio.run(questions(options.rounds))
    print(json.dumps(told | {"load_average": round(os.getloadavg()[0], 1)}))


async def requests(folder: Path, idp: Provider, rounds: int, times: int) -> dict[str, float]:
    """Microseconds of a request by what it shows."""
    shop = stored_shop(folder / "store")
    shop.write_snapshot()
    file = folder / "keys.jsonl"
    file.write_text(json.dumps(stored("one", "viewer")))
    guarded = {"environment": ENVIRONMENT, "keys_file": file, "rate_per_second": PLENTY.per_second}
    tokens = guarded | {"oidc_issuer": idp.url, "oidc_audience": AUDIENCE}
    bearer = b"Bearer " + idp.token("viewer").encode()
    shown: dict[str, tuple[dict[str, Any], list[tuple[bytes, bytes]], int]] = {
        "open": ({}, [], 200),
        "key": (guarded, [(b"x-api-key", b"one")], 200),
        "token": (tokens, [(b"authorization", bearer)], 200),
        "refused key": (guarded, [(b"x-api-key", b"two")], 401),
    }
    async with AsyncExitStack() as stack:
        asked: dict[str, Once] = {}
        for name, (settings, headers, expected) in shown.items():
            app = create(shop.settings(**settings))
            await stack.enter_async_context(app.router.lifespan_context(app))
            asked[name] = partial(request, app, headers, expected)
            await asked[name]()
        told: dict[str, list[float]] = {name: [] for name in asked}
        for _, name in itertools.product(range(rounds), asked):
            told[name].append(await microseconds([asked[name]] * times))
    return {name: round(median(values), 1) for name, values in told.items()}


async def request(app: FastAPI, headers: Sequence[tuple[bytes, bytes]], expected: int) -> None:
    """One answer with the expected status."""

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        if message.get("status", expected) != expected:
            raise RuntimeError(f"answered {message['status']}, expected {expected}")

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/forecast/P0004", "query_string": b""}
    await app({**scope, "headers": headers}, receive, send)


async def first_checks(idp: Provider, rounds: int) -> dict[str, float]:
    """Microseconds of a token that was not seen before, by algorithm."""
    tokens = Tokens(idp.url, AUDIENCE, "roles", SigningKeys(idp.url, 3600, CollectorRegistry()))
    await tokens.bearer(idp.token("viewer"))
    found = {}
    for algorithm, kid in (("RS256", "one"), ("ES256", "curve")):
        values = []
        for round_ in range(rounds):
            fresh = [
                idp.token("viewer", jti=f"{round_} {number}", kid=kid, algorithm=algorithm)
                for number in range(FRESH_TOKENS)
            ]
            values.append(await microseconds([partial(tokens.bearer, each) for each in fresh]))
        found[f"first check of a token, {algorithm}"] = round(median(values), 1)
    await tokens.close()
    return found


async def questions(rounds: int) -> dict[str, float]:
    """Microseconds of a question to Redis."""
    with redis_server() as server:
        buckets = RedisBuckets(SecretStr(server.url()), "limit:staging:forecast:", 5.0)
        once = partial(buckets.take, "one", PLENTY, 10)
        values = [await microseconds([once] * QUESTIONS) for _ in range(rounds)]
        await buckets.close()
    return {"question to Redis": round(median(values), 1)}


async def microseconds(asked: Sequence[Once]) -> float:
    """CPU time of this process for one of them."""
    began = time.process_time()
    for each in asked:
        await each()
    return 1e6 * (time.process_time() - began) / len(asked)


if __name__ == "__main__":
    main()
