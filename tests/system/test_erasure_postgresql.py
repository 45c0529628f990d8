"""An erasure reaches an inbox in PostgreSQL, beside a collector that goes on writing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.erasure import erase
from ml.inbox_erasure import inbox_erasure
from ml.ingest import drain_inbox
from ml.lake import Lake
from ml.postgresql_inbox import PostgresqlInbox
from ml.pseudonym import pseudonym, pseudonymised
from tests.ml.small_shop import KEY, NOW, SETTINGS
from tests.ml.test_events import event
from tests.postgresql import Server, postgresql

pytestmark = pytest.mark.system

ANNA = pseudonym("anna", KEY.encode())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql() as running:
        yield running


def test_a_customer_is_erased_and_a_resend_is_known(server: Server, tmp_path: Path) -> None:
    inbox, lake = PostgresqlInbox(server.new_inbox()), Lake(tmp_path / "lake")
    hers = [
        event(event_id="hers", customer_id="anna", session_id="s", order_id="her order"),
        event(event_id="before the login", event_type="view", session_id="s"),
        event(event_id="other", customer_id="bob", session_id="t"),
    ]
    sent = [pseudonymised(each, KEY.encode()) for each in hers]
    inbox.append(sent, "web")
    drain_inbox(inbox, lake, SETTINGS, now=NOW)
    before = {each.event.event_id: each.event for each in inbox.after(0, 9)}

    done = erase(lake, inbox_erasure(server.url), [ANNA], "UTC", NOW)

    assert (done.events, done.inbox_events, done.left_in) == (2, 2, [])
    stored = str(server.run("SELECT body FROM events"))
    assert not [word for word in (ANNA, "her order") if word in stored]
    after = {each.event.event_id: each.event for each in inbox.after(0, 9)}
    assert after["other"] == before["other"]
    assert (after["hers"].customer_id, after["hers"].session_id, after["hers"].quantity) == (
        None,
        None,
        before["hers"].quantity,
    )
    assert [each.status for each in inbox.append(sent, "web")] == ["duplicate"] * 3
    assert drain_inbox(inbox, lake, SETTINGS, now=NOW).rows == 0
    assert erase(lake, inbox_erasure(server.url), [ANNA], "UTC", NOW).inbox_events == 0
    inbox.close()
