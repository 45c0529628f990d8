"""A candidate release asked beside this one: callers get this one's answers, differences are counted and kept.

A request adds to a bounded queue and goes on; when the queue is full it is not mirrored. One thread asks the
candidate, with no credentials, and compares. Off unless `FORECAST_SHADOW_URL` is set.
"""

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Thread
from typing import Any, Final
from urllib.parse import quote, urlsplit

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.forecast.settings import ForecastSettings
from ml.bucket import Bucket
from ml.errors import StoreUnavailable
from ml.folder import Folder
from ml.forecasting import encoded

FORMAT: Final = 1
MOST_WAITING: Final = 256
MOST_BYTES: Final = 65_536
"""Of a request and of an answer; comparing longer ones would hold up callers, as threads share one interpreter."""
MOST_ROWS: Final = 10_000
TIMEOUT_SECONDS: Final = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """A request that was answered with 200."""

    method: str
    target: str
    request: bytes
    answer: bytes


class Shadow:
    """The queue, the thread behind it, and what was found."""

    def __init__(self, settings: ForecastSettings, registry: CollectorRegistry) -> None:
        self._settings, self._seen = settings, 0
        self._every = max(1, round(1 / settings.shadow_share))
        self._waiting: Queue[Answered | None] = Queue(MOST_WAITING)
        self._thread = Thread(target=self._work, name="shadow", daemon=True)
        self._connection: HTTPConnection | None = None
        self._rows: list[dict[str, Any]] = []
        self._since = time.time()
        self._requests = Counter(
            "forecast_shadow_requests",
            "Requests mirrored to a candidate: same, differs, failed, or dropped because others waited.",
            ["result"],
            registry=registry,
        )
        self._difference = Histogram(
            "forecast_shadow_difference_share",
            "How far the candidate's mean is from this one's, as a share of the larger.",
            buckets=(0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0),
            registry=registry,
        )
        self._lost = Counter(
            "forecast_shadow_lost_rows", "Differences that are counted and in no file.", registry=registry
        )

    def start(self) -> None:
        """Begin to ask the candidate."""
        self._thread.start()

    def stop(self) -> None:
        """Write what was found and end; what still waits is not asked any more."""
        with suppress(Empty):
            while True:
                self._waiting.get_nowait()
        self._waiting.put(None)
        self._thread.join(2 * TIMEOUT_SECONDS)

    def wants(self, scope: Scope) -> bool:
        """Whether this request is one to mirror: each so many-th for a forecast."""
        if scope["type"] != "http" or scope["method"] not in {"GET", "POST"}:
            return False
        path: str = scope["path"]
        if path != "/forecast" and not path.startswith("/forecast/"):
            return False
        self._seen += 1
        return self._seen % self._every == 0

    def offer(self, answered: Answered) -> None:
        """Mirror it unless too many wait; returns at once."""
        try:
            self._waiting.put_nowait(answered)
        except Full:
            self._requests.labels("dropped").inc()

    def _work(self) -> None:
        due = time.monotonic() + self._settings.served_seconds
        running = True
        while running:
            try:
                answered = self._waiting.get(timeout=max(0.0, due - time.monotonic()))
            except Empty:
                answered = None
            else:
                running = answered is not None
            if answered:
                self._requests.labels(self._compared(answered)).inc()
            if not running or time.monotonic() >= due:
                self._write()
                due = time.monotonic() + self._settings.served_seconds
        self._hang_up()

    def _compared(self, answered: Answered) -> str:
        """What came of asking the candidate the same."""
        try:
            rows = list(_differences(answered, self._asked(answered)))
        except Exception as error:  # noqa: BLE001 - a candidate may say anything, and the thread lives on
            log.warning("shadow did not answer", extra={"reason": f"{type(error).__name__}: {error}"})
            self._hang_up()
            return "failed"
        for row in rows:
            larger = max(abs(row["mean"]), abs(row["shadow_mean"]))
            self._difference.observe(abs(row["mean"] - row["shadow_mean"]) / larger if larger else 0.0)
        room = MOST_ROWS - len(self._rows)
        self._rows += rows[:room]
        self._lost.inc(max(0, len(rows) - room))
        return "differs" if any(row["mean"] != row["shadow_mean"] for row in rows) else "same"

    def _asked(self, answered: Answered) -> bytes:
        if self._connection is None:
            address = urlsplit(str(self._settings.shadow_url))
            self._connection = HTTPConnection(
                address.hostname or "", address.port or 80, timeout=TIMEOUT_SECONDS
            )
        headers = {"Content-Type": "application/json"} if answered.request else {}
        self._connection.request(answered.method, answered.target, answered.request or None, headers)
        answer = self._connection.getresponse()
        body = answer.read(MOST_BYTES + 1)
        if answer.status != 200 or len(body) > MOST_BYTES:  # noqa: PLR2004
            raise ValueError(f"status {answer.status}, {len(body)} bytes")
        return body

    def _hang_up(self) -> None:
        if self._connection:
            self._connection.close()

    def _write(self) -> None:
        """One file of what was found since the last; what cannot be written is counted as lost."""
        rows, self._rows, since, self._since = self._rows, [], self._since, time.time()
        root = self._settings.shadow_store
        if not rows:
            return
        if root is None:
            self._lost.inc(len(rows))
            return
        head = {
            "format": FORMAT,
            "image_tag": self._settings.image_tag,
            "model_version": self._settings.model_version,
            "model_sha256": self._settings.model_sha256,
            "since": since,
            "until": self._since,
            "rows": len(rows),
        }
        files = Folder(root) if isinstance(root, Path) else Bucket(root)
        name = f"{self._settings.model_sha256}/{time.time_ns()}-{os.urandom(4).hex()}.jsonl"
        try:
            files.write(name, b"".join(encoded(line) + b"\n" for line in (head, *rows)))
        except StoreUnavailable as error:
            self._lost.inc(len(rows))
            log.warning("shadow's differences not written", extra={"reason": str(error)})


class Mirror:
    """Shows the shadow what was asked and answered; nothing of it is changed or waited for."""

    def __init__(self, app: ASGIApp, shadow: Shadow) -> None:
        self.app, self.shadow = app, shadow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as it is."""
        if not self.shadow.wants(scope):
            await self.app(scope, receive, send)
            return
        asked, told, good = bytearray(), bytearray(), False

        async def receiving() -> Message:
            message = await receive()
            if len(asked) <= MOST_BYTES:
                asked.extend(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            nonlocal good
            if message["type"] == "http.response.start":
                good = message["status"] == 200  # noqa: PLR2004
            elif good and len(told) <= MOST_BYTES:
                told.extend(message.get("body", b""))
            await send(message)

        await self.app(scope, receiving, sending)
        if good and len(asked) <= MOST_BYTES and len(told) <= MOST_BYTES:
            query = scope["query_string"].decode("latin-1")
            target = quote(scope["path"]) + (f"?{query}" if query else "")
            self.shadow.offer(Answered(scope["method"], target, bytes(asked), bytes(told)))


def _differences(answered: Answered, shadow: bytes) -> Iterator[dict[str, Any]]:
    """Month and means of every forecast in both answers; of what a caller sent no name is kept."""
    own, other = (_forecasts(json.loads(body)) for body in (answered.answer, shadow))
    if len(own) != len(other):
        raise ValueError(f"{len(other)} forecasts instead of {len(own)}")
    for mine, its in zip(own, other, strict=True):
        name = {"product_id": mine["product_id"]} if answered.method == "GET" else {}
        yield {
            **name,
            "month": mine["month"],
            "mean": float(mine["mean"]),
            "shadow_month": its["month"],
            "shadow_mean": float(its["mean"]),
            "shadow_model_version": its["model_version"],
        }


def _forecasts(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer.get("forecasts", [answer])
    return found
