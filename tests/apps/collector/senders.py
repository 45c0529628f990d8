"""Clients of a collector that loses its process or its database: each sends a batch again until it is acknowledged."""

import http.client
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

KEY = "k" * 16
PSEUDONYM_KEY = "p" * 32
HEADERS = {"X-API-Key": KEY, "Content-Type": "application/json"}
LARGEST_BATCH = 40
PATIENCE_SECONDS = 15.0


def wire_event(event_id: str, quantity: int = 1) -> dict[str, Any]:
    """What a shop sends of one purchase."""
    return {
        "event_id": event_id,
        "event_type": "purchase",
        "occurred_at": "2026-03-01T12:00:00+03:00",
        "product_id": "a1",
        "unit_price_cents": 1250,
        "currency": "TRY",
        "quantity": quantity,
    }


@dataclass
class Told:
    """What senders sent and heard; each sender has its own."""

    batches: list[list[str]] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    heard_at: list[float] = field(default_factory=list)

    def add(self, other: "Told") -> None:
        self.batches += other.batches
        self.acknowledged += other.acknowledged
        self.refusals += other.refusals
        self.seconds += other.seconds
        self.heard_at += other.heard_at


class Sender(threading.Thread):
    """Sends batches of new events, one at a time, until it is told to stop and its last one is acknowledged."""

    def __init__(self, port: int, name: str, seed: int, batch: int | None) -> None:
        super().__init__(name=name, daemon=True)
        self.told, self.stopped = Told(), threading.Event()
        self._port, self._random, self._batch = port, random.Random(f"{seed}-{name}"), batch  # noqa: S311

    def run(self) -> None:
        number = 0
        while not self.stopped.is_set():
            size = self._batch or self._random.randint(1, LARGEST_BATCH)
            ids = [f"{self.name}-{number}-{place}" for place in range(size)]
            self.told.batches.append(ids)
            body = json.dumps([wire_event(event_id) for event_id in ids])
            given_up = time.monotonic() + PATIENCE_SECONDS
            while not self._sent(body, ids):
                if self.stopped.is_set() and time.monotonic() > given_up:
                    return
                time.sleep(0.02)
            number += 1

    def _sent(self, body: str, ids: list[str]) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        started = time.monotonic()
        try:
            connection.request("POST", "/events", body, HEADERS)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException):
            return False  # the process is gone, and with it the answer
        finally:
            connection.close()
        self.told.seconds.append(time.monotonic() - started)
        if answer.status != 202:
            retry = answer.headers["Retry-After"]
            self.told.refusals.append(f"{answer.status} retry-after={retry} {said.decode()}")
            return False
        statuses = {item["event_id"]: item["status"] for item in json.loads(said)["events"]}
        assert set(statuses.values()) <= {"accepted", "duplicate"}, statuses
        assert list(statuses) == ids
        self.told.acknowledged += ids
        self.told.heard_at.append(time.monotonic())
        return True


class Senders:
    """Several at work."""

    def __init__(self, port: int, seed: int, senders: int, batch: int | None) -> None:
        self._threads = [Sender(port, f"s{number}", seed, batch) for number in range(senders)]

    def told(self) -> Told:
        """What was sent and heard up to now."""
        together = Told()
        for thread in self._threads:
            together.add(thread.told)
        return together

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Each ends when it has heard of its last batch."""
        for thread in self._threads:
            thread.stopped.set()
        for thread in self._threads:
            thread.join(timeout=4 * PATIENCE_SECONDS)
            assert not thread.is_alive()


@contextmanager
def sending(port: int, seed: int, *, senders: int = 3, batch: int | None = None) -> Iterator[Senders]:
    """Senders at work during the block."""
    together = Senders(port, seed, senders, batch)
    together.start()
    try:
        yield together
    finally:
        together.finish()


def faults(told: Told, stored: list[str]) -> dict[str, int]:
    """What must be nothing: acknowledged and lost, stored twice, batches stored in part, stored and never sent."""
    there = set(stored)
    return {
        "lost": len(set(told.acknowledged) - there),
        "twice": len(stored) - len(there),
        "halves": sum(0 < len(there & set(batch)) < len(batch) for batch in told.batches),
        "strange": len(there - {event_id for batch in told.batches for event_id in batch}),
    }


NO_FAULTS = {"lost": 0, "twice": 0, "halves": 0, "strange": 0}
