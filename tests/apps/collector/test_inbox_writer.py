"""Requests share commits, wait in a bounded queue and hear within their deadline what became of them."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from apps.collector.inbox_writer import InboxWriter, Limits
from ml.errors import StoreUnavailable
from ml.event_store import EventStore, Receipt, Row, receipts, rows_of
from tests.ml.test_events import event


class Slow(EventStore):
    """Keeps rows in memory once it is let; `commits` has the ids of each call."""

    def __init__(self) -> None:
        self.identity, self.place = "slow", "memory"
        self.let, self.begun = threading.Event(), threading.Event()
        self.commits: list[list[str]] = []
        self.closed, self.error = 0, ""

    def keep(self, rows: Sequence[Row]) -> list[Receipt]:
        self.begun.set()
        assert self.let.wait(10)
        if self.error:
            raise StoreUnavailable(self.error)
        self.commits.append([row.event_id for row in rows])
        return receipts(rows, {})

    def _rows(self, statement: str) -> list[Any]:
        raise NotImplementedError

    def close(self) -> None:
        self.closed += 1


def named(*ids: str) -> list[Row]:
    return rows_of([event(event_id=name) for name in ids], "test")


async def held(writer: InboxWriter, store: Slow, *ids: str) -> asyncio.Task[list[Receipt]]:
    """A request whose write has begun and does not end until the store is let."""
    task = asyncio.create_task(writer.append(named(*ids)))
    assert await asyncio.to_thread(store.begun.wait, 10)
    return task


def test_requests_that_come_during_a_commit_share_the_next_and_get_their_own_receipts() -> None:
    store = Slow()

    async def story() -> list[list[Receipt]]:
        writer = InboxWriter(lambda: store, Limits())
        first = await held(writer, store, "a")
        others = [asyncio.create_task(writer.append(named(*ids))) for ids in (["b", "c"], ["b"], ["d"])]
        await asyncio.sleep(0)
        store.let.set()
        answers = await asyncio.gather(first, *others)
        await writer.close()
        return answers

    answers = asyncio.run(story())
    assert store.commits == [["a"], ["b", "c", "b", "d"]]
    assert [[(one.event_id, one.status) for one in each] for each in answers] == [
        [("a", "accepted")],
        [("b", "accepted"), ("c", "accepted")],
        [("b", "duplicate")],
        [("d", "accepted")],
    ]
    assert store.closed == 1


@pytest.mark.parametrize("limits", [Limits(events=3), Limits(bytes=300)], ids=["events", "bytes"])
def test_more_than_may_wait_is_refused_at_once_and_room_is_used_again(limits: Limits) -> None:
    store = Slow()

    async def story() -> None:
        writer = InboxWriter(lambda: store, limits)
        first = await held(writer, store, "a", "b")
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="already wait for the inbox; none of these were kept"):
            await writer.append(named("c", "d"))
        assert time.monotonic() - started < 1
        store.let.set()
        await first
        await writer.append(named("c", "d"))
        await writer.append(named(*(f"alone-{number}" for number in range(20))))  # the only one may be large
        await writer.close()

    asyncio.run(story())
    assert [len(commit) for commit in store.commits] == [2, 2, 20]


def test_a_late_request_hears_that_nothing_was_kept_or_that_it_is_not_known() -> None:
    store = Slow()

    async def story() -> list[str]:
        writer = InboxWriter(lambda: store, Limits(seconds=0.1))
        being_written = await held(writer, store, "a")
        waiting = asyncio.create_task(writer.append(named("b")))
        said = await asyncio.gather(being_written, waiting, return_exceptions=True)
        assert await writer.check() == "the inbox did not answer within 0.1 s; none of these events were kept"
        store.let.set()
        await writer.append(named("c"))
        await writer.close()
        return [str(one) for one in said]

    unknown, nothing = asyncio.run(story())
    assert "whether these events were kept is not known" in unknown
    assert "none of these events were kept" in nothing
    assert store.commits == [["a"], ["c"]]


def test_a_request_that_spent_its_time_before_does_not_wait_as_long_again() -> None:
    store = Slow()

    async def story() -> None:
        writer = InboxWriter(lambda: store, Limits())
        first = await held(writer, store, "a")
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="none of these events were kept"):
            await writer.append(named("b"), writer.deadline() - Limits().seconds + 0.05)
        assert time.monotonic() - started < Limits().seconds / 2
        store.let.set()
        await first
        await writer.close()

    asyncio.run(story())


def test_a_store_that_failed_is_closed_and_opened_again_and_all_of_its_group_hear_why() -> None:
    broken, sound = Slow(), Slow()
    broken.error = "the disk is full"
    sound.let.set()
    stores = iter([broken, sound])

    async def story() -> tuple[BaseException | list[Receipt], ...]:
        writer = InboxWriter(lambda: next(stores), Limits())
        first = await held(writer, broken, "a")
        broken.let.set()
        said = await asyncio.gather(first, return_exceptions=True)
        assert await writer.check() is None
        await writer.append(named("a"))
        await writer.close()
        return tuple(said)

    (said,) = asyncio.run(story())
    assert isinstance(said, StoreUnavailable)
    assert (str(said), broken.closed, sound.closed) == ("the disk is full", 1, 1)
    assert sound.commits == [[], ["a"]]


def test_who_hangs_up_makes_room_and_is_not_written() -> None:
    store = Slow()

    async def story() -> None:
        writer = InboxWriter(lambda: store, Limits(events=2))
        first = await held(writer, store, "a")
        gone = asyncio.create_task(writer.append(named("b")))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        stays = asyncio.create_task(writer.append(named("c")))
        await asyncio.sleep(0.01)
        store.let.set()
        await asyncio.gather(first, stays)
        await writer.close()

    asyncio.run(story())
    assert store.commits == [["a"], ["c"]]
