"""A caller gets its rate and not more, alone and over replicas, with the shared store and without it."""

import asyncio
import math
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from apps.chassis import limits
from apps.chassis.limits import (
    LEASE_SECONDS,
    LONGEST_REST_SECONDS,
    Grant,
    Limit,
    OwnBuckets,
    RateLimits,
    StoreAway,
)
from apps.chassis.problems import Problem


class Time:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 5_000.0

    def __call__(self) -> float:
        return self.now


class Bucket:
    """The oracle: a bucket of tokens as textbooks draw it, in fractions."""

    def __init__(self, per_second: int, burst: int) -> None:
        self.per_second, self.burst, self.tokens, self.at = per_second, burst, Fraction(burst), Fraction(0)

    def take(self, at: Fraction) -> bool:
        self.tokens = min(Fraction(self.burst), self.tokens + (at - self.at) * self.per_second)
        self.at = at
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.integers(1, 50),
    st.integers(1, 20),
    st.lists(st.integers(0, 2_000).map(lambda each: each * 7 + 3), max_size=80),
)
def test_it_is_a_token_bucket(per_second: int, burst: int, steps: list[int]) -> None:
    clock, bucket = Time(), Bucket(per_second, burst)
    own, at = OwnBuckets(clock), Fraction(0)
    for step in steps:
        at += Fraction(step, 10_007)  # no moment at which a token is just there, which rounding could move
        clock.now = 5_000.0 + float(at)
        expected = bucket.take(at)
        grant = own.take("a", Limit(per_second, burst))
        assert bool(grant.requests) == expected
        if not expected:
            assert grant.wait_seconds == pytest.approx(float((1 - bucket.tokens) / per_second), abs=1e-6)


class Store:
    """Buckets of all replicas, in this process; `away` makes it fail."""

    def __init__(self, clock: Time) -> None:
        self.own, self.away, self.asked = OwnBuckets(clock), False, 0

    async def take(self, name: str, limit: Limit, wanted: int) -> Grant:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise StoreAway("away")
        grants = [self.own.take(name, limit) for _ in range(wanted)]
        return Grant(sum(each.requests for each in grants), grants[0].wait_seconds)

    async def close(self) -> None:
        """Nothing is open."""


def let_through(replicas: list[RateLimits], requests: int, name: str = "a") -> int:
    """How many of the requests, in turn to each replica, are let through."""

    async def one(limits: RateLimits) -> bool:
        try:
            await limits.take(name, "web:1a2b3c4d")
        except Problem:
            return False
        return True

    async def whole() -> int:
        return sum([await one(replicas[number % len(replicas)]) for number in range(requests)])

    return asyncio.run(whole())


def test_replicas_with_a_store_let_one_rate_through_and_without_it_one_each() -> None:
    clock = Time()
    store = Store(clock)
    shared = [RateLimits(50, 2, shared=store, clock=clock) for _ in range(3)]
    assert let_through(shared, 1_000) == 100
    alone = [RateLimits(50, 2, clock=clock) for _ in range(3)]
    assert let_through(alone, 1_000) == 300, "the control: this is what sharing is for"
    total = 0
    for _ in range(100):
        clock.now += 0.1
        total += let_through(shared, 60)
    assert 0.9 * 500 <= total <= 500 + 1


def test_most_requests_ask_nobody() -> None:
    clock = Time()
    store = Store(clock)
    replica = RateLimits(1_000, 2, shared=store, clock=clock)
    assert let_through([replica], 500) == 500
    assert store.asked <= 500 / (1_000 * LEASE_SECONDS) + 1
    assert let_through([replica], 5_000) == 1_500
    asked = store.asked
    let_through([replica], 1_000)
    assert store.asked <= asked + 1, "and a caller that is over its rate does not ask again and again"


def test_requests_that_come_together_ask_once() -> None:
    clock = Time()
    store = Store(clock)
    replica = RateLimits(100, 2, shared=store, clock=clock)

    async def together() -> None:
        await asyncio.gather(*(replica.take("a", "x") for _ in range(10)))

    asyncio.run(together())
    assert store.asked == 1


def test_what_a_replica_does_not_use_in_time_is_gone() -> None:
    clock = Time()
    replica = RateLimits(100, 1, shared=Store(clock), clock=clock)
    assert let_through([replica], 1) == 1
    clock.now += LEASE_SECONDS
    assert let_through([replica], 1_000) == 100, "the bucket is full again, and nothing of the lease is added"


def test_without_the_store_each_replica_limits_for_itself_and_says_so() -> None:
    clock, registry = Time(), CollectorRegistry()
    store = Store(clock)
    replica = RateLimits(50, 2, shared=store, registry=registry, clock=clock)
    assert let_through([replica], 10) == 10
    store.away = True
    clock.now += 1
    assert let_through([replica], 500) == 100
    assert registry.get_sample_value("rate_limit_store_up") == 0
    assert store.asked == 3, "it is left alone after it failed"
    for _ in range(1_000):
        clock.now += 0.1
        let_through([replica], 1)
    assert store.asked == 3 + 9, "longer and longer: after 1, 2, 4, 8 and then each 16 of the 100 seconds"
    store.away = False
    clock.now += LONGEST_REST_SECONDS
    assert let_through([replica], 20) == 20
    assert registry.get_sample_value("rate_limit_store_up") == 1


def test_callers_do_not_take_from_each_other_and_may_have_rates_of_their_own() -> None:
    clock = Time()
    replica = RateLimits(10, 1, clock=clock)
    assert let_through([replica], 50, "a") == let_through([replica], 50, "b") == 10

    async def quick() -> None:
        for _ in range(1_000):
            await replica.take("c", "c", per_second=1_000)

    asyncio.run(quick())


def test_a_refusal_says_when_to_come_back_and_is_counted_by_caller() -> None:
    clock, registry = Time(), CollectorRegistry()
    replica = RateLimits(0.5, 4, registry=registry, clock=clock)

    async def ask() -> Problem:
        for _ in range(2):
            await replica.take("0" * 64, "web:00000000")
        with pytest.raises(Problem) as refused:
            await replica.take("0" * 64, "web:00000000")
        return refused.value

    refused = asyncio.run(ask())
    assert refused.headers == {
        "Retry-After": "2",
        "RateLimit-Policy": '"caller";q=2;w=4',
        "RateLimit": '"caller";r=0;t=2',
    }
    assert (refused.status_code, refused.name) == (429, "too-many-requests")
    assert registry.get_sample_value("rate_limited_total", {"caller": "web:00000000"}) == 1
    clock.now += 2
    assert let_through([replica], 1, "0" * 64) == 1


def test_what_is_remembered_of_callers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_CALLERS", 5)
    clock = Time()
    for replica in (RateLimits(10, 1, clock=clock), RateLimits(10, 1, shared=Store(clock), clock=clock)):
        names = Counter(str(number) for number in range(20))
        for name in names:
            let_through([replica], 1, name)
        assert len(replica._own._full_at) <= 5
        assert len(replica._leases) <= 5


def test_a_limit_is_at_least_one_request() -> None:
    assert Limit.of(0.01, 1) == (0.01, 1)
    assert Limit.of(7, 2.5) == (7, math.ceil(17.5))
