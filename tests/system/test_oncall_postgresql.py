"""The on-call service over a real PostgreSQL: two processes tell once, and a server that was gone lost nothing."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pg8000.exceptions import DatabaseError

from tests.apps.oncall.campaign import BEARER, LEVELS, READER, quick_rota, variables
from tests.apps.oncall.told import Mailbox, until
from tests.apps.oncall.world import alert, group
from tests.apps.process import listener, running
from tests.postgresql import Server, postgresql

pytestmark = pytest.mark.system

GROUPS = 8


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql("fsync=off") as running:
        running.run("CREATE DATABASE oncall", "postgres")
        yield running


def test_two_replicas_tell_each_level_once_and_a_lost_server_loses_nothing(
    server: Server, tmp_path: Path
) -> None:
    quick_rota(tmp_path)
    box = Mailbox()
    given = variables(
        tmp_path, box, database=replace(server.url, database="oncall"), database_timeout_seconds=2
    )
    with (
        listener() as here,
        listener() as there,
        running("apps.oncall", given, here) as one,
        running("apps.oncall", given, there) as other,
    ):
        assert one.readiness["ready"], one.ended()
        assert other.readiness["ready"], other.ended()

        def send(url: str) -> None:
            for number in range(GROUPS):
                sent = group(alert(f"f{number}"), key=f"g{number}")
                httpx.post(f"{url}/alerts/page", json=sent, headers=BEARER, timeout=20).raise_for_status()

        both = [threading.Thread(target=send, args=(each.url,)) for each in (one, other)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        server.stop()
        answer = httpx.post(f"{one.url}/alerts/page", json=group(key="late"), headers=BEARER, timeout=20)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        server.start("fsync=off")
        until(
            lambda: (
                httpx.post(
                    f"{one.url}/alerts/page", json=group(key="late"), headers=BEARER, timeout=20
                ).is_success
            )
        )
        wanted = (GROUPS + 1) * len(LEVELS)
        until(lambda: len(box.copies()) == wanted, 60)
        incidents = httpx.get(f"{other.url}/incidents", headers=READER, timeout=20).json()["incidents"]
        assert len(incidents) == GROUPS + 1
        trail = httpx.get(f"{other.url}/trail", headers=READER, timeout=20).text
        assert trail.count("opened") == GROUPS + 1
        assert sum(box.copies().values()) - wanted <= 1, "one may have been under way as the server went"
    box.stop()
    for statement in ("UPDATE trail SET entry = ''", "DELETE FROM trail", "TRUNCATE trail"):
        with pytest.raises(DatabaseError, match="only added to"):
            server.run(statement, "oncall")
