"""Replicas share rates by a real Redis with the accounts of the platform, and go on without it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from apps.chassis.limits import Grant, Limit, StoreAway
from apps.chassis.redis_buckets import RedisBuckets
from tests.apps.credentials import ENVIRONMENT, stored
from tests.apps.forecast.store import Shop, stored_shop
from tests.apps.process import listener, running
from tests.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.system

PREFIX = "limit:staging:forecast:"
PATIENT_SECONDS = 10.0
"""A machine under load must not look like a store that is away."""
LIMIT = Limit(10, 20)
WRONG_PASSWORD = "not-the-one"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running_server:
        yield running_server


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = stored_shop(tmp_path_factory.mktemp("store"))
    shop.write_snapshot()
    return shop


def played(
    url: str,
    play: Callable[[RedisBuckets], Awaitable[None]],
    prefix: str = PREFIX,
    seconds: float = PATIENT_SECONDS,
) -> None:
    async def whole() -> None:
        buckets = RedisBuckets(SecretStr(url), prefix, seconds)
        try:
            await play(buckets)
        finally:
            await buckets.close()

    asyncio.run(whole())


def test_the_script_is_the_token_bucket_of_a_process(server: RedisServer) -> None:
    """As `tests/apps/chassis/test_limits.py` has it, by the clock of the server."""

    async def play(buckets: RedisBuckets) -> None:
        began = time.monotonic()
        assert await buckets.take("a", LIMIT, 5) == (5, 0)
        taken = 5 + sum([(await buckets.take("a", LIMIT, 1)).requests for _ in range(40)])
        passed = time.monotonic() - began
        assert 20 <= taken <= 20 + passed * LIMIT.per_second + 1
        refused = await buckets.take("a", LIMIT, 1)
        while refused.requests:
            refused = await buckets.take("a", LIMIT, 1)
        assert 0 < refused.wait_seconds <= 1 / LIMIT.per_second
        await asyncio.sleep(refused.wait_seconds)
        assert (await buckets.take("a", LIMIT, 1)).requests == 1
        assert await buckets.take("b", LIMIT, 100) == (20, 0), "another caller, who gets what there is"
        await asyncio.sleep(0.55)
        assert (await buckets.take("b", LIMIT, 100)).requests in {5, 6}

    played(server.url(), play)


def test_a_full_bucket_is_forgotten(server: RedisServer) -> None:
    async def play(buckets: RedisBuckets) -> None:
        await buckets.take("gone", LIMIT, 2)
        assert await buckets._redis.get(f"{PREFIX}gone")
        await asyncio.sleep(0.25)
        assert await buckets._redis.get(f"{PREFIX}gone") is None

    played(server.url(), play)


def test_many_replicas_at_once_never_get_more_than_the_limit(server: RedisServer) -> None:
    async def whole() -> list[Grant]:
        replicas = [RedisBuckets(SecretStr(server.url()), PREFIX, PATIENT_SECONDS) for _ in range(8)]

        async def many(replica: RedisBuckets) -> list[Grant]:
            return [await replica.take("crowd", Limit(0.01, 50), 1) for _ in range(40)]

        try:
            return [grant for each in await asyncio.gather(*map(many, replicas)) for grant in each]
        finally:
            for each in replicas:
                await each.close()

    assert sum(grant.requests for grant in asyncio.run(whole())) == 50


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        (lambda server: server.url("staging"), "limit:production:forecast:"),
        (lambda server: server.url("staging", WRONG_PASSWORD), PREFIX),
        (lambda server: f"redis://127.0.0.1:{server.port}", PREFIX),
    ],
    ids=["another environment's buckets", "a wrong password", "nobody"],
)
def test_an_account_sees_its_environment_only(
    server: RedisServer, url: Callable[[RedisServer], str], prefix: str
) -> None:
    async def play(buckets: RedisBuckets) -> None:
        with pytest.raises(StoreAway):
            await buckets.take("a", LIMIT, 1)

    played(url(server), play, prefix)


def test_an_account_runs_nothing_but_the_script(server: RedisServer) -> None:
    async def play(buckets: RedisBuckets) -> None:
        for command in ("FLUSHALL", "KEYS *", "CONFIG GET *", "DEL limit:staging:forecast:a", "ACL LIST"):
            with pytest.raises(Exception, match=r"permissions"):
                await buckets._redis.execute_command(*command.split())  # type: ignore[no-untyped-call]

    played(server.url(), play)


def test_a_store_that_stands_still_costs_its_time_and_no_more(server: RedisServer) -> None:
    async def play(buckets: RedisBuckets) -> None:
        await buckets.take("still", LIMIT, 1)
        with server.paused():
            began = time.monotonic()
            with pytest.raises(StoreAway):
                await buckets.take("still", LIMIT, 1)
            assert 1 <= time.monotonic() - began < 4
        assert (await buckets.take("still", LIMIT, 1)).requests == 1

    played(server.url(), play, seconds=1.0)


RATE, BURST_SECONDS, REQUESTS = 2, 15, 90


def test_pods_share_a_rate_and_each_keeps_to_it_when_redis_dies(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text("\n".join(json.dumps(stored(key, "viewer")) for key in ("one", "two", "three")))
    with redis_server() as server, ExitStack() as stack:
        variables = shop.variables() | {
            "FORECAST_ENVIRONMENT": ENVIRONMENT,
            "FORECAST_KEYS_FILE": str(file),
            "FORECAST_RATE_STORE": server.url(),
            "FORECAST_RATE_STORE_TIMEOUT_SECONDS": str(PATIENT_SECONDS),
            "FORECAST_RATE_PER_SECOND": str(RATE),
            "FORECAST_RATE_BURST_SECONDS": str(BURST_SECONDS),
        }
        pods = [
            stack.enter_context(running("apps.forecast", variables, stack.enter_context(listener())))
            for _ in range(2)
        ]

        def let_through(key: str) -> tuple[int, float]:
            """Answers with 200 of requests in turn to each pod, and what a full bucket gave beside."""
            began, statuses = time.monotonic(), []
            with httpx.Client(headers={"X-API-Key": key}, timeout=20) as http:
                for number in range(REQUESTS):
                    answer = http.get(f"{pods[number % 2].url}/forecast/P0004")
                    statuses.append(answer.status_code)
                    if answer.status_code == 429:
                        assert int(answer.headers["retry-after"]) > 0
            assert set(statuses) <= {200, 429}
            return statuses.count(200), (time.monotonic() - began) * RATE

        burst = RATE * BURST_SECONDS
        both, meanwhile = let_through("one")
        assert burst <= both <= burst + meanwhile + 1
        server.stop()
        alone, meanwhile = let_through("two")
        assert 2 * burst <= alone <= 2 * (burst + meanwhile + 1), "each pod has a bucket of its own"
        assert all(metric(pod.url, "rate_limit_store_up") == 0 for pod in pods)
        server.start()
        deadline = time.monotonic() + 30
        while not all(metric(pod.url, "rate_limit_store_up") == 1 for pod in pods):
            assert time.monotonic() < deadline
            for pod in pods:
                httpx.get(f"{pod.url}/forecast/P0004", headers={"X-API-Key": "two"})
            time.sleep(0.3)
        both, meanwhile = let_through("three")
        assert burst <= both <= burst + meanwhile + 1


def metric(url: str, name: str) -> float:
    (line,) = [each for each in httpx.get(f"{url}/metrics").text.splitlines() if each.startswith(f"{name} ")]
    return float(line.split()[1])
