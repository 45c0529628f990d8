"""How often a caller may ask: the generic cell rate algorithm, a token bucket that keeps one time per caller.

Source: ITU-T I.371 (2004), virtual scheduling. A bucket of `burst` tokens fills with `per_second`; what is kept is when
it will be full again.
"""

import math
import time
from asyncio import Lock
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

from apps.chassis.problems import Problem

MOST_CALLERS = 10_000
"""Callers of which a process remembers anything; the one that was quiet for longest is forgotten first."""
ROUNDING_SECONDS = 1e-6
"""Less than this is waited for by nobody: a full bucket would else lose its last token to rounding."""
LEASE_SECONDS = 0.1
"""What a process takes from the shared bucket at once is what the caller may use in this time."""
REST_SECONDS, LONGEST_REST_SECONDS = 1.0, 16.0
"""After the shared store failed it is left alone, each time twice as long: the request that tries again may wait."""


class Limit(NamedTuple):
    """Requests a second in the long run, and how many of them may come at once."""

    per_second: float
    burst: int

    @classmethod
    def of(cls, per_second: float, burst_seconds: float) -> "Limit":
        """The limit of which a caller that was quiet may use `burst_seconds` at once."""
        return cls(per_second, max(1, math.ceil(per_second * burst_seconds)))


class Grant(NamedTuple):
    """How many requests are let through now, and in how many seconds the next one is where there are none."""

    requests: int
    wait_seconds: float


class StoreAway(Exception):
    """The shared store did not answer in time; the text says what happened."""


class SharedBuckets(Protocol):
    """Buckets that all replicas share."""

    async def take(self, name: str, limit: Limit, wanted: int) -> Grant:
        """At most `wanted` requests of the bucket `name`.

        Raises:
            StoreAway: It cannot be said.
        """
        ...

    async def close(self) -> None:
        """Give up the connections."""
        ...


class OwnBuckets:
    """Buckets of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str, limit: Limit) -> Grant:
        """One request of the bucket `name`, if there is one."""
        now, interval = self._clock(), 1 / limit.per_second
        full_at = max(now, self._full_at.get(name, now)) + interval
        wait_seconds = full_at - now - limit.burst * interval
        if wait_seconds > ROUNDING_SECONDS:
            return Grant(0, wait_seconds)
        self._full_at[name] = full_at
        self._full_at.move_to_end(name)
        if len(self._full_at) > MOST_CALLERS:
            self._full_at.popitem(last=False)
        return Grant(1, 0.0)


class _Lease:
    """What this process holds of a shared bucket until `until`: so many requests, or for 0 the wait."""

    def __init__(self) -> None:
        self.requests, self.until, self.refill = 0, 0.0, Lock()


class RateLimits:
    """Lets callers through at their own rates, shared by all replicas where there is a store for it.

    Tokens of the shared bucket are taken some at a time and used here, so that most requests ask nobody. All replicas
    together never let more through than the limit; what one holds and does not use within its time is lost to the
    caller. While the store is away each process limits for itself, which the gauge `rate_limit_store_up` says.

    Args:
        usual: For callers that have no rate of their own.
        burst_seconds: How much of any rate may come at once.
        shared: Buckets of all replicas; without them each process has its own.
        registry: Gets `rate_limited_total` by caller, and `rate_limit_store_up` where there is a store.
    """

    def __init__(
        self,
        usual: float,
        burst_seconds: float,
        *,
        shared: SharedBuckets | None = None,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._usual, self._burst_seconds = usual, burst_seconds
        self._shared, self._clock, self._own = shared, clock, OwnBuckets(clock)
        self._limits: dict[float, Limit] = {}
        self._leases: OrderedDict[str, _Lease] = OrderedDict()
        self._rests_until, self._rest_seconds = -math.inf, REST_SECONDS
        registry = registry or CollectorRegistry()
        self._limited = Counter(
            "rate_limited", "Requests over the limit of their caller.", ["caller"], registry=registry
        )
        if shared is not None:
            self._up = Gauge(
                "rate_limit_store_up", "0 while each process limits for itself.", registry=registry
            )
            self._up.set(1)

    async def take(self, name: str, caller: str, per_second: float | None = None) -> None:
        """Let one request of a caller through.

        Args:
            name: Of the caller's bucket, without a secret.
            caller: What metrics call it; of a bounded number.
            per_second: Its own rate, where it has one.

        Raises:
            Problem: 429, it has to wait.
        """
        limit = self._limit(per_second or self._usual)
        grant = await self._granted(name, limit)
        if not grant.requests:
            self._limited.labels(caller).inc()
            raise _too_many(limit, grant.wait_seconds)

    async def close(self) -> None:
        """Give up what the shared store needs."""
        if self._shared is not None:
            await self._shared.close()

    def _limit(self, per_second: float) -> Limit:
        limit = self._limits.get(per_second)
        if limit is None:
            limit = self._limits[per_second] = Limit.of(per_second, self._burst_seconds)
        return limit

    async def _granted(self, name: str, limit: Limit) -> Grant:
        if self._shared is None:
            return self._own.take(name, limit)
        lease = self._lease(name)
        if self._clock() < lease.until:
            return self._of(lease)
        async with lease.refill:  # whoever waited here finds what the first one took
            now = self._clock()
            if now < self._rests_until:
                return self._own.take(name, limit)
            if now >= lease.until:
                try:
                    grant = await self._shared.take(name, limit, math.ceil(limit.per_second * LEASE_SECONDS))
                except StoreAway:
                    self._rests_until = self._clock() + self._rest_seconds
                    self._rest_seconds = min(2 * self._rest_seconds, LONGEST_REST_SECONDS)
                    self._up.set(0)
                    return self._own.take(name, limit)
                self._up.set(1)
                self._rest_seconds = REST_SECONDS
                lease.requests = grant.requests
                lease.until = self._clock() + (LEASE_SECONDS if grant.requests else grant.wait_seconds)
        return self._of(lease)

    def _of(self, lease: _Lease) -> Grant:
        if not lease.requests:
            return Grant(0, lease.until - self._clock())
        lease.requests -= 1
        if not lease.requests:
            lease.until = 0.0  # used up: the next one asks for more
        return Grant(1, 0.0)

    def _lease(self, name: str) -> _Lease:
        lease = self._leases.get(name)
        if lease is None:
            lease = self._leases[name] = _Lease()
            if len(self._leases) > MOST_CALLERS:
                self._leases.popitem(last=False)
        return lease


def _too_many(limit: Limit, wait_seconds: float) -> Problem:
    """The 429 answer, with the fields of draft-ietf-httpapi-ratelimit-headers-10."""
    seconds = max(1, math.ceil(wait_seconds))
    window = max(1, math.ceil(limit.burst / limit.per_second))
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too-many-requests",
        f"more than {limit.per_second:g} requests a second, or {limit.burst} at once; come back in {seconds} s",
        headers={
            "Retry-After": str(seconds),
            "RateLimit-Policy": f'"caller";q={limit.burst};w={window}',
            "RateLimit": f'"caller";r=0;t={seconds}',
        },
    )
