"""Events of a file go through a real collector, once, and a busy collector is asked again."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ml.event_store import Inbox
from ml.synthetic import make_events
from scripts import replay_events
from scripts.replay_events import Refused, main, send
from tests.apps.process import listener, running

KEY = "a-key-of-enough-letters"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    make_events(folder, products=5, months=3)
    return folder


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A collector process and its inbox."""
    inbox = tmp_path_factory.mktemp("collector") / "inbox.sqlite"
    variables = {"COLLECTOR_API_KEY": KEY, "COLLECTOR_INBOX": str(inbox)}
    with listener() as bound, running("apps.collector", variables, bound) as process:
        yield process.url, inbox


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the pseudonyms is made there."""
    monkeypatch.setenv("ML_STATE", str(tmp_path / "state"))


def test_the_newest_events_are_taken_and_a_second_replay_adds_nothing(
    shop: Path,
    collector: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, inbox = collector
    monkeypatch.setenv("COLLECTOR_API_KEY", KEY)
    arguments = ["--events", str(shop), "--newest", "40", "--collector", url, "--batch", "15"]
    for expected in ('{"events": 40, "accepted": 40}', '{"events": 40, "duplicate": 40}'):
        assert main(arguments) == 0
        assert capsys.readouterr().out.strip() == expected
    stored = Inbox(inbox)
    assert stored.count() == 40
    stored.close()


def test_a_wrong_key_is_refused_with_the_collectors_words(
    shop: Path,
    collector: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLLECTOR_API_KEY", "wrong")
    assert main(["--events", str(shop), "--newest", "1", "--collector", collector[0]]) == 1
    assert "401" in capsys.readouterr().out


def test_a_bad_file_ends_with_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events.csv").write_text("")
    assert main(["--events", str(tmp_path / "events.csv")]) == 1
    assert "is empty" in capsys.readouterr().err


def answering(*statuses: int) -> tuple[httpx.Client, Counter[int]]:
    """A collector that answers so in turn; the last answer stays."""
    seen: Counter[int] = Counter()

    def answer(_: httpx.Request) -> httpx.Response:
        status = statuses[min(seen.total(), len(statuses) - 1)]
        seen[status] += 1
        body = {"events": [{"event_id": "1", "status": "accepted"}]} if status == 202 else {"detail": "busy"}
        return httpx.Response(status, json=body, headers={"Retry-After": "0"})

    return httpx.Client(transport=httpx.MockTransport(answer)), seen


def test_a_busy_collector_is_asked_again() -> None:
    client, seen = answering(503, 503, 202)
    assert send([{"event_id": "1"}], client, "http://collector", batch=10) == {"accepted": 1}
    assert seen == {503: 2, 202: 1}


def test_a_collector_that_stays_busy_ends_the_replay() -> None:
    client, seen = answering(503)
    with pytest.raises(Refused, match="503"):
        send([{"event_id": "1"}], client, "http://collector", batch=10)
    assert seen[503] == replay_events.TRIES


def test_another_refusal_is_not_tried_again() -> None:
    client, seen = answering(409)
    with pytest.raises(Refused, match="409"):
        send([{"event_id": "1"}], client, "http://collector", batch=10)
    assert seen[409] == 1


def test_a_lost_connection_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.replay_events.time.sleep", lambda _: None)
    tries: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tries.append(1)
        raise httpx.ConnectError("nobody there", request=request)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    with pytest.raises(Refused, match="nobody there"):
        send([{"event_id": "1"}], client, "http://collector", batch=10)
    assert len(tries) == replay_events.TRIES


def test_over_the_rate_it_waits_as_long_as_it_is_told_and_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("scripts.replay_events.time.sleep", waited.append)
    refusals = 3 * replay_events.TRIES
    told = iter([httpx.Response(429, headers={"Retry-After": "17"})] * refusals)
    taken = {"events": [{"event_id": "1", "status": "accepted"}]}
    client = httpx.Client(
        transport=httpx.MockTransport(lambda _: next(told, httpx.Response(202, json=taken)))
    )
    assert send([{"event_id": "1"}], client, "http://collector", batch=10) == {"accepted": 1}
    assert waited[:-1] == [17.0] * refusals
