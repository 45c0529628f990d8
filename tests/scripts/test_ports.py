"""A taken port is named with its holder."""

import os
import socket

from scripts.demo import ports
from tests.scripts.free_port import free_port


def test_a_taken_port_names_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (found,) = ports.taken({"forecast": port, "free": free_port()})
    assert f"port {port} (forecast) is taken by process {os.getpid()} (" in str(found)


def test_free_ports_are_not_reported() -> None:
    assert ports.taken({"a": free_port()}) == []


def test_a_holder_that_cannot_be_seen_is_said_so() -> None:
    assert ports.holder_of(free_port()) == "a process that this user may not see"
