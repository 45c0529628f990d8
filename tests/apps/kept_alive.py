"""Connections to a process that stay open while it ends."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx

from tests.apps.process import listener, running


class KeptAlive:
    """Asks a process over one connection that it does not give up, though answers ask it to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.open = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]

    @classmethod
    @contextmanager
    def of(cls, module: str, variables: dict[str, str], stack: ExitStack) -> Iterator["KeptAlive"]:
        """A process that got SIGTERM after its connections were open."""
        bound = stack.enter_context(listener())
        process = stack.enter_context(running(module, variables, bound))
        client = cls(process.port)
        for connection in client.open:
            ask(connection, "/health")
        process.popen.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        yield client
        for connection in client.open:
            connection.close()

    def get(self, path: str) -> httpx.Response:
        """The answer on the next connection."""
        with self.open.pop() as connection:
            return ask(connection, path)


def ask(connection: socket.socket, path: str) -> httpx.Response:
    """One answer on an open connection."""
    connection.settimeout(10)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    while len(body) < int({name.lower(): value for name, value in headers.items()}["content-length"]):
        body += connection.recv(65_536)
    return httpx.Response(int(lines[0].split(" ")[1]), headers=headers, content=body)
