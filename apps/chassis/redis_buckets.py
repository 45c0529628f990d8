"""Buckets of all replicas in Redis: one script decides and writes, by the clock of the server."""

from pydantic import SecretStr
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from apps.chassis.limits import Grant, Limit, StoreAway

MOST_CONNECTIONS = 16

# KEYS[1] holds when the bucket is full again, in microseconds.
# ARGV: microseconds a token, tokens of a full bucket, tokens wanted.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or now))
local room = math.floor((now + burst * interval - full_at) / interval)
if room < 1 then
  return {0, math.ceil(full_at + interval - now - burst * interval)}
end
local taken = math.min(room, wanted)
full_at = full_at + taken * interval
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return {taken, 0}
"""


class RedisBuckets:
    """Buckets at `url` (`redis://` or `rediss://`), their names after `prefix`, asked within the timeout.

    A bucket is forgotten once it is full, so Redis holds the callers of the last seconds and nothing need outlive it.
    """

    def __init__(self, url: SecretStr, prefix: str, timeout_seconds: float) -> None:
        self._prefix = prefix
        pool = BlockingConnectionPool.from_url(
            url.get_secret_value(),
            max_connections=MOST_CONNECTIONS,
            timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._redis = Redis.from_pool(pool)
        self._script = self._redis.register_script(_TAKE)

    async def take(self, name: str, limit: Limit, wanted: int) -> Grant:
        """At most `wanted` requests of the bucket `name`.

        Raises:
            StoreAway: Redis did not answer in time, or with an error.
        """
        microseconds = max(1, round(1e6 / limit.per_second))
        try:
            requests, wait = await self._script(
                keys=[self._prefix + name], args=[microseconds, limit.burst, wanted]
            )
        except RuntimeError as error:  # uvloop's, of a connection that was cut since
            await self._redis.connection_pool.disconnect()
            raise StoreAway(str(error)) from error
        except (RedisError, OSError) as error:
            raise StoreAway(type(error).__name__) from error
        return Grant(int(requests), int(wait) / 1e6)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
