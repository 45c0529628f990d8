"""A service hangs, and a person is told within a minute, whatever dies on the way."""

from collections.abc import Iterator

import pytest

from tests.apps.oncall.told import until
from tests.system.alarm_chain import SILENCE_SECONDS, Chain, chain

pytestmark = pytest.mark.system

LONGEST_SECONDS = 60
FIRST, SECOND = "level 1", "level 2"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with chain(tmp_path_factory.mktemp("chain")) as made:
        yield made


def drill(chain: Chain) -> float:
    """Seconds until the first person has a mail; then it is acknowledged, and the end is told, too."""
    until(lambda: all(each["status"] == "resolved" for each in chain.incidents()), LONGEST_SECONDS)
    first, ends = chain.told("ayse", FIRST), chain.told("ayse", "resolved")
    chain.hang()
    seconds = until(lambda: chain.told("ayse", FIRST) > first, LONGEST_SECONDS)
    chain.act(chain.incidents()[0]["id"], "acknowledge")
    chain.go_on()
    until(lambda: chain.told("ayse", "resolved") > ends, LONGEST_SECONDS)
    return seconds


@pytest.mark.parametrize("drills", [2, pytest.param(50, marks=pytest.mark.soak)])
def test_no_drill_is_missed_and_each_is_told_in_time(running: Chain, drills: int) -> None:
    assert max(drill(running) for _ in range(drills)) <= LONGEST_SECONDS


def test_nobody_answers_so_the_next_is_told_until_somebody_acknowledges(running: Chain) -> None:
    second, third = running.told("deniz", SECOND), running.told("can", "level 3")
    running.hang()
    until(lambda: running.told("deniz", SECOND) > second, LONGEST_SECONDS)
    number = running.incidents()[0]["id"]
    running.act(number, "acknowledge")
    entry = running.incidents()[0]
    assert (entry["status"], entry["level"], entry["escalate_at"]) == ("acknowledged", 2, None)
    running.go_on()
    until(lambda: running.incidents()[0]["status"] == "resolved", LONGEST_SECONDS)
    assert running.told("can", "level 3") == third, "the acknowledgement came in time"


def test_on_call_and_alertmanager_are_killed_and_nothing_is_lost_or_told_twice(running: Chain) -> None:
    before = len(running.incidents())
    first = running.told("ayse", FIRST)
    second = running.told("deniz", SECOND)
    running.kill_oncall()
    running.hang()
    running.kill_alertmanager()
    running.begin_oncall()
    until(lambda: running.told("ayse", FIRST) > first, LONGEST_SECONDS)
    running.kill_oncall()
    running.begin_oncall()
    until(lambda: running.told("deniz", SECOND) > second, LONGEST_SECONDS)
    running.act(running.incidents()[0]["id"], "acknowledge")
    running.go_on()
    until(lambda: running.incidents()[0]["status"] == "resolved", LONGEST_SECONDS)
    assert len(running.incidents()) <= before + 1
    assert max(running.mailbox.copies().values()) <= 2
    extra = sum(count - 1 for count in running.mailbox.copies().values())
    assert extra <= 2, "each kill explains one copy"


def test_prometheus_is_killed_and_its_silence_pages(running: Chain) -> None:
    """The last of this file, since it takes the chain apart."""
    assert running.incidents("HeartbeatSilent") == []
    running.prometheus.process.kill()
    seconds = until(lambda: running.told("ayse", "HeartbeatSilent"), SILENCE_SECONDS + LONGEST_SECONDS)
    assert seconds >= SILENCE_SECONDS / 2
