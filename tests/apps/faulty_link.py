"""A TCP link on loopback that can be broken in four ways, under connections that are open and for new ones."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Final

DOWN, SLOW, RESET, HALF_OPEN = "down", "2 s slow", "reset", "half open"
FAULTS: Final = (DOWN, SLOW, RESET, HALF_OPEN)
_ABORT: Final = struct.pack("ii", 1, 0)


class Link:
    """Hands connections on to a port of this machine, until `fault` is set.

    Attributes:
        port: Where it listens.
        accepted: Local ports of those who connected, also under a fault.
        late_seconds: How late the answer to what was sent begins under `SLOW`.
    """

    def __init__(self, target: int, late_seconds: float = 2.0) -> None:
        self.target, self.late_seconds = target, late_seconds
        self.accepted: list[int] = []
        self._fault: str | None = None
        self._pairs: list[tuple[socket.socket, socket.socket | None]] = []
        self._held = _bound(0)  # keeps the port while nobody listens
        self.port = int(self._held.getsockname()[1])
        self._listen()

    @property
    def fault(self) -> str | None:
        """What is wrong with the link, None while nothing is."""
        return self._fault

    @fault.setter
    def fault(self, fault: str | None) -> None:
        was, self._fault = self._fault, fault
        if fault == DOWN:
            self._stop()
        if fault in {DOWN, RESET} or was == HALF_OPEN:
            self.cut()
        if was == DOWN and fault != DOWN:
            self._listen()

    def cut(self) -> None:
        """End every open connection with a reset."""
        pairs, self._pairs = self._pairs, []
        for end in (end for pair in pairs for end in pair if end is not None):
            _abort(end)

    def close(self) -> None:
        """Nobody listens any more."""
        self._stop()
        self.cut()
        self._held.close()

    def _listen(self) -> None:
        self._listener = _bound(self.port)
        self._listener.listen(128)
        self._thread = Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._thread.start()

    def _stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, (_, peer) = listener.accept()
            except OSError:
                return
            self.accepted.append(peer)
            if self._fault == RESET:
                _abort(client)
            elif self._fault == HALF_OPEN:
                self._pairs.append((client, None))
            else:
                self._hand_on(client)

    def _hand_on(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            _abort(client)
            return
        self._pairs.append((client, server))
        asked = Event()

        def answer() -> None:
            if self._fault == SLOW and asked.is_set():
                time.sleep(self.late_seconds)
            asked.clear()

        for source, sink, before in ((client, server, asked.set), (server, client, answer)):
            Thread(target=self._pump, args=(source, sink, before), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, before: Callable[[], None]) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                before()
                if self._fault == HALF_OPEN:
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def linked(target: int, late_seconds: float = 2.0) -> Iterator[Link]:
    """A link to a port of this machine, closed at the end."""
    link = Link(target, late_seconds)
    try:
        yield link
    finally:
        link.close()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _abort(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        end.shutdown(socket.SHUT_RD)  # whoever waits for data here wakes
    end.close()
