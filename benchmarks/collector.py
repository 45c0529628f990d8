"""How many events a second the collector acknowledges, beside the same store fed by a bare script.

    python -m benchmarks.collector --store postgresql --seconds 5 --rounds 3

Each round measures, one after the other: raw COPY into a table, the collector's SQL path (or SQLite's executemany, one
transaction per batch) fed by this script, and the collector over HTTP fed by raw sockets. Neighbours see the same
machine, so the median of the rounds' ratios is the answer. Then single events come at an even rate, for their latency.
"""

import argparse
import json
import multiprocessing
import os
import socket
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import psutil
from pg8000.native import Connection

from ml.event_store import Inbox, Row, rows_of
from ml.events import Event
from ml.postgresql_inbox import COPY, SENT, PostgresqlInbox, copy_text, insertion, session
from tests.apps.collector.senders import PSEUDONYM_KEY
from tests.apps.process import Process, listener, running
from tests.postgresql import OWNER, Server, postgresql

KEY = "benchmark-of-16-characters"
SENDERS = 8
PREPARED_EVENTS = 24_000
"""Made before the clock starts, per sender, so that the clock sees only the sending."""
ID_LENGTH = 32
SLOWEST_START_SECONDS = 120.0


def event(event_id: str) -> dict[str, Any]:
    """What a shop sends of one purchase."""
    return {
        "event_id": event_id,
        "event_type": "purchase",
        "occurred_at": "2026-03-01T12:00:00+03:00",
        "product_id": "85123A",
        "category": "home/candles",
        "unit_price_cents": 1250,
        "currency": "TRY",
        "quantity": 2,
        "order_id": "order-100200300",
        "customer_id": "customer-4711",
    }


def batch_rows(size: int) -> list[Row]:
    """One batch as the inbox keeps it, with new ids."""
    return rows_of([Event.model_validate(event(uuid4().hex)) for _ in range(size)], "s")


def repeated(seconds: float, size: int, write: Callable[[list[Row]], object]) -> float:
    """Events a second of a bare script whose batches were prepared before."""
    batches = [batch_rows(size) for _ in range(max(20, int(seconds * 60_000 / size)))]
    started, written = time.perf_counter(), 0
    for rows in batches:
        write(rows)
        written += size
        if time.perf_counter() - started >= seconds:
            break
    return written / (time.perf_counter() - started)


def bare_postgresql(server: Server, size: int, seconds: float) -> dict[str, float]:
    """Raw COPY into a table of the inbox's shape, and the collector's own SQL path."""
    url = server.new_inbox()
    PostgresqlInbox(url).close()
    connection = Connection(OWNER, sock=_plain(server.port), database="inbox")
    connection.run(session(60))
    connection.run(
        "CREATE TABLE plain (place integer, event_id text, content_hash text, body text, source text)"
    )
    connection.run(SENT)

    def copy(rows: list[Row]) -> None:
        connection.run("COPY plain FROM STDIN", stream=[copy_text(rows)])

    def path(rows: list[Row]) -> None:
        connection.run("BEGIN")
        connection.run(COPY, stream=[copy_text(rows)])
        connection.run(insertion(datetime.now(UTC).isoformat()))

    answer = {"raw_copy": repeated(seconds, size, copy), "bare_script": repeated(seconds, size, path)}
    connection.close()
    return answer


def bare_sqlite(folder: Path, size: int, seconds: float) -> dict[str, float]:
    """Raw executemany into the inbox's table, one transaction per batch, as durable as the inbox."""
    path = folder / f"{uuid4().hex}.sqlite"
    Inbox(path).close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous=FULL")

    def write(rows: list[Row]) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT INTO events (event_id, content_hash, body, source, accepted_at) VALUES (?, ?, ?, ?, 't')",
            rows,
        )
        db.execute("COMMIT")

    answer = {"bare_script": repeated(seconds, size, write)}
    db.close()
    return answer


def _plain(port: int) -> socket.socket:
    bound = socket.create_connection(("127.0.0.1", port), 60)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


@contextmanager
def collector(inbox: str) -> Iterator[Process]:
    """The service as a process."""
    variables = {
        "COLLECTOR_INBOX": inbox,
        "COLLECTOR_API_KEY": KEY,
        "COLLECTOR_PSEUDONYM_KEY": PSEUDONYM_KEY,
        "COLLECTOR_LOG_LEVEL": "warning",
    }
    with listener() as bound, running("apps.collector", variables, bound) as process:
        yield process


def request(body: bytes) -> bytes:
    """A whole HTTP request."""
    head = f"POST /events HTTP/1.1\r\nHost: c\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def answer_of(file: Any) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    status = int(file.readline().split()[1])
    length = 0
    while (line := file.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return status, file.read(length)


def send_batches(port: int, size: int, seconds: float, results: Any) -> None:
    """A process with eight connections that send as fast as they are answered; puts (events, seconds)."""
    mark = b"#" * ID_LENGTH
    template = request(json.dumps([event(mark.decode()) for _ in range(size)]).encode()).split(mark)
    bodies = [[_filled(template) for _ in range(PREPARED_EVENTS // size)] for _ in range(SENDERS)]
    acknowledged = [0] * SENDERS
    started = time.perf_counter()

    def send(number: int) -> None:
        with _plain(port) as connection, connection.makefile("rb") as file:
            for body in bodies[number]:
                if time.perf_counter() - started >= seconds:
                    return
                connection.sendall(body)
                status, text = answer_of(file)
                if status == 202:  # noqa: PLR2004 - Accepted
                    acknowledged[number] += text.count(b'"accepted"')

    threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((sum(acknowledged), time.perf_counter() - started))


def _filled(template: list[bytes]) -> bytes:
    parts = [template[0]]
    for part in template[1:]:
        parts += [uuid4().hex.encode(), part]
    return b"".join(parts)


def over_http(inbox: str, size: int, seconds: float, stored: Callable[[], int]) -> dict[str, float]:
    """Acknowledged events a second, every one of them in the store, and the collector's processor time for one."""
    with collector(inbox) as process:
        before = processor_seconds(process)
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        sender = context.Process(target=send_batches, args=(process.port, size, seconds, results))
        sender.start()
        events, took = results.get(timeout=seconds + SLOWEST_START_SECONDS)
        sender.join()
        spent = processor_seconds(process) - before
        if stored() != events:
            raise SystemExit(f"{events} events were acknowledged and {stored()} are stored")
    return {"http": events / took, "collector_microseconds": spent / events * 1e6}


def processor_seconds(process: Process) -> float:
    """What a process has used so far."""
    spent = psutil.Process(process.popen.pid).cpu_times()
    return spent.user + spent.system


def latencies(inbox: str, rate: int, seconds: float) -> dict[str, float]:
    """Milliseconds from the time a single event was due until its answer, at an even rate."""
    taken: list[float] = []
    refused: list[int] = []
    with collector(inbox) as process:
        begin = time.perf_counter() + 0.5

        def send(number: int) -> None:
            with _plain(process.port) as connection, connection.makefile("rb") as file:
                for turn in range(number, int(rate * seconds), SENDERS * 4):
                    body = request(json.dumps(event(uuid4().hex)).encode())
                    due = begin + turn / rate
                    time.sleep(max(0.0, due - time.perf_counter()))
                    connection.sendall(body)
                    status, _ = answer_of(file)
                    taken.append((time.perf_counter() - due) * 1000)
                    if status != 202:  # noqa: PLR2004 - Accepted
                        refused.append(status)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS * 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    cuts = statistics.quantiles(taken, n=1000)
    return {
        "events": len(taken),
        "refused": len(refused),
        "p50": cuts[499],
        "p99": cuts[989],
        "max": max(taken),
    }


def compare(store: str, size: int, options: argparse.Namespace, server: Server | None, folder: Path) -> Any:
    """The rounds of one store and batch size, and the median ratio of HTTP to the bare script."""
    rounds = []
    for _ in range(options.rounds):
        if server is not None:
            told = bare_postgresql(server, size, options.seconds)
            url = str(server.new_inbox())
            told |= over_http(url, size, options.seconds, PostgresqlInbox(server.url).count)
        else:
            told = bare_sqlite(folder, size, options.seconds)
            path = folder / f"{uuid4().hex}.sqlite"
            told |= over_http(str(path), size, options.seconds, Inbox(path).count)
        rounds.append({name: round(value) for name, value in told.items()} | {"load": os.getloadavg()[0]})
    ratios = [each["http"] / each["bare_script"] for each in rounds]
    return {
        "store": store,
        "batch": size,
        "rounds": rounds,
        "median_ratio": round(statistics.median(ratios), 3),
    }


def measure(store: str, options: argparse.Namespace) -> Any:
    """All batch sizes of one store and its latency."""
    with TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        if store == "sqlite":
            batches = [compare(store, size, options, None, folder) for size in options.batch]
            return {
                "throughput": batches,
                "single": latencies(str(folder / "one.sqlite"), 500, options.single),
            }
        with postgresql(within=options.folder) as server:
            batches = [compare(store, size, options, server, folder) for size in options.batch]
            single = latencies(str(server.new_inbox()), 500, options.single)
            return {"throughput": batches, "single": single}


def main() -> None:
    """One JSON object on stdout."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", choices=("postgresql", "sqlite"), action="append")
    parser.add_argument(
        "--batch", type=int, action="append", help="events in a request; default 1000 and 100"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--single", type=float, default=20.0, help="seconds of single events, 500 a second")
    parser.add_argument(
        "--folder", type=Path, help="where the stores are made; default: the temporary folder"
    )
    options = parser.parse_args()
    options.batch = options.batch or [1000, 100]
    stores = options.store or ["postgresql", "sqlite"]
    print(json.dumps({store: measure(store, options) for store in stores}))


if __name__ == "__main__":
    main()
