"""The demo as a newcomer runs it: to its end, beside another one, and after a kill."""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import pytest

from ml.lake import Lake
from tests.ml.test_bad_files import shop
from tests.scripts.running_demo import UP, RunningDemo

STEPS = 13


def test_a_second_demo_names_the_taken_port_its_holder_and_the_way_out(tmp_path: Path) -> None:
    options = small_shop(tmp_path)
    first = RunningDemo(tmp_path, *options)
    first.wait_for("start services")
    first.wait_for("console ")
    second = RunningDemo(tmp_path / "second", *options, offset=first.offset)
    assert second.wait(60) == 1
    assert (
        f"port {first.port('collector')} (collector) is taken by process {first.process.pid}"
        in second.output()
    )
    assert f"make demo PORT_OFFSET={first.offset + 100}" in second.output()
    assert first.interrupt() == 130
    assert not answering(first)


def test_killed_demos_leave_nothing_in_the_way_of_the_next(tmp_path: Path) -> None:
    """The shop is too small for the gate, so the one that ends also shows the waiver that it says it uses."""
    said = kill_and_run_again(tmp_path, *small_shop(tmp_path), at_steps=(3, 7), seed=1)
    assert "12 products were tested, 30 are needed" in said
    assert "the demo goes on with a waiver" in said


@pytest.mark.soak
def test_ten_kills_at_different_moments(tmp_path: Path) -> None:
    kill_and_run_again(tmp_path, at_steps=(1, 2, 3, 4, 6, 7, 8, 9, 11, 12), seed=7)


def small_shop(folder: Path) -> tuple[str, str]:
    """Options of a demo on the year of a small shop; making and training the default one takes a minute."""
    path = folder / "events.parquet"
    shop().with_columns(currency=pl.lit("TRY")).write_parquet(path)
    return "--events", str(path)


def kill_and_run_again(state: Path, *options: str, at_steps: Sequence[int], seed: int) -> str:
    """Kill a demo soon after each step began; then a whole run works, and every acknowledged event is there.

    What the whole run said comes back.
    """
    moments = np.random.default_rng(seed)
    acknowledged: set[str] = set()
    offset = None
    for step in at_steps:
        demo = RunningDemo(state, *options, offset=offset)
        offset = demo.offset
        wait_for_step(demo, step)
        acknowledged |= send_events(demo, f"killed-in-step-{step}", 20)
        time.sleep(moments.uniform(0, 2))
        demo.kill()
    last = RunningDemo(state, "--once", *options, offset=offset)
    assert last.wait() == 0, last.output()
    assert UP in last.output()
    assert f"[{STEPS}/{STEPS}]" in last.output()
    assert acknowledged
    assert stored_ids(state) >= acknowledged
    assert lake_ids(state) >= acknowledged
    return last.output()


def wait_for_step(demo: RunningDemo, step: int) -> None:
    deadline = time.monotonic() + 300
    while f"[{step:>2}/{STEPS}]" not in demo.output():
        assert demo.process.poll() is None, demo.output()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def send_events(demo: RunningDemo, name: str, count: int) -> set[str]:
    """Ids that the collector acknowledged; none while it does not listen yet."""
    key = (demo_state(demo.state) / "api.key").read_text() if started(demo) else ""
    events = [
        {
            "event_id": f"{name}-{i}",
            "event_type": "purchase",
            "occurred_at": "2025-12-15T12:00:00+03:00",
            "product_id": "P1",
            "unit_price_cents": 1000,
            "currency": "TRY",
            "quantity": 1,
        }
        for i in range(count)
    ]
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{demo.port('collector')}/events",
            json=events,
            headers={"X-API-Key": key},
            timeout=10,
        )
    except httpx.TransportError:
        return set()
    if answer.status_code != httpx.codes.ACCEPTED:
        return set()
    return {r["event_id"] for r in answer.json()["events"] if r["status"] in {"accepted", "duplicate"}}


def started(demo: RunningDemo) -> bool:
    return (demo_state(demo.state) / "api.key").exists()


def demo_state(state: Path) -> Path:
    (folder,) = (path for path in state.iterdir() if path.is_dir())
    return folder


def stored_ids(state: Path) -> set[str]:
    with sqlite3.connect(demo_state(state) / "inbox.sqlite") as inbox:
        return {row[0] for row in inbox.execute("SELECT event_id FROM events")}


def lake_ids(state: Path) -> set[str]:
    return set(Lake(demo_state(state) / "lake").read("events", ["event_id"]).collect()["event_id"])


def answering(demo: RunningDemo) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{demo.port('collector')}/health", timeout=1)
    except httpx.TransportError:
        return False
    return True
