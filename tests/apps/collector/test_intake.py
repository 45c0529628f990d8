"""Large batches are judged in turn, small ones pass by, and none waits for its turn past its deadline."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from anyio import CapacityLimiter

from apps.collector.formats import Refused
from apps.collector.intake import INLINE_EVENTS, Judge, judge_all
from ml.errors import StoreUnavailable
from ml.event_store import Row

JUDGE = Judge(datetime(2026, 6, 1, tzinfo=UTC), timedelta(hours=1), b"p" * 32, "shop")


def asked(events: int, *, held: bool) -> list[Row | Refused]:
    """What a batch gets whose deadline is near, while another one has the turn or not."""

    async def story() -> list[Row | Refused]:
        turn = CapacityLimiter(1)
        if held:
            await turn.acquire_on_behalf_of("another batch")
        deadline = asyncio.get_running_loop().time() + (0.05 if held else 10)
        return await judge_all([{}] * events, JUDGE, turn, deadline)

    return asyncio.run(story())


def test_a_batch_whose_turn_does_not_come_hears_so_in_time() -> None:
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="none of these events were kept"):
        asked(INLINE_EVENTS + 1, held=True)
    assert time.monotonic() - started < 5
    assert len(asked(INLINE_EVENTS + 1, held=False)) == INLINE_EVENTS + 1


def test_a_small_batch_waits_for_no_turn() -> None:
    assert len(asked(INLINE_EVENTS, held=True)) == INLINE_EVENTS
