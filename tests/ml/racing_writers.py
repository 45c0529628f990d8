"""Several writers that send the same events in different orders, for a store of any kind."""

import random
import threading
from collections import Counter
from collections.abc import Callable

from ml.event_store import EventStore
from tests.ml.test_events import event

WRITERS, TIMES, BATCH = 8, 3, 10


def each_event_thrice(open_store: Callable[[], EventStore], events: int, seed: int) -> Counter[str]:
    """Receipts by status after eight writers, each with a store of its own, sent every event three times in all."""
    chance = random.Random(seed)  # noqa: S311
    sent = [f"e-{number}" for number in range(events)] * TIMES
    chance.shuffle(sent)
    statuses: Counter[str] = Counter()

    def send(share: list[str]) -> None:
        store = open_store()
        for start in range(0, len(share), BATCH):
            batch = [event(event_id=name) for name in share[start : start + BATCH]]
            statuses.update(receipt.status for receipt in store.append(batch, "test"))
        store.close()

    threads = [threading.Thread(target=send, args=(sent[number::WRITERS],)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    return statuses
