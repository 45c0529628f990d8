"""A nameserver that can fail, and processes that ask it: theirs is another /etc/resolv.conf than the machine's.

To listen on port 53 and to mount a file over another one needs the rights of root.
"""

import random
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread, Timer
from typing import Final

from tests.apps.faulty_link import DOWN, HALF_OPEN, RESET, SLOW

_A: Final = 1
_IN_A_MOMENT: Final = 0
_ANSWER, _SERVER_FAILURE = 0x8180, 0x8182
_HEADER: Final = struct.Struct("!6H")


class Nameserver:
    """Every name is this machine's 127.0.0.1, until `fault` is set; nobody may keep an answer.

    Down is a closed port, reset is the answer SERVFAIL, half open is no answer.
    """

    def __init__(self) -> None:
        self.address = f"127.{random.randint(1, 250)}.{random.randint(0, 250)}.53"  # noqa: S311
        self.asked = 0
        self._fault: str | None = None
        self._open()

    @property
    def fault(self) -> str | None:
        """What is wrong, None while nothing is."""
        return self._fault

    @fault.setter
    def fault(self, fault: str | None) -> None:
        was, self._fault = self._fault, fault
        if fault == DOWN:
            self.close()
        elif was == DOWN:
            self._open()

    def close(self) -> None:
        """Nobody listens any more."""
        self._closed = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self.address, 53))
        self._thread.join()
        self._socket.close()

    def _open(self) -> None:
        self._closed = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, 53))
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            question, asker = self._socket.recvfrom(4096)
            if self._closed:
                return
            if not question:
                continue
            self.asked += 1
            reply = _reply(question, failing=self._fault == RESET)
            if self._fault == SLOW:
                Timer(2.0, self._socket.sendto, (reply, asker)).start()
            elif self._fault != HALF_OPEN:
                self._socket.sendto(reply, asker)


def _reply(question: bytes, *, failing: bool) -> bytes:
    """To one question: an address for type A, nothing for any other type."""
    (number,) = struct.unpack_from("!H", question)
    end = question.index(b"\0", _HEADER.size) + 5
    (kind,) = struct.unpack_from("!H", question, end - 4)
    asked, found = question[_HEADER.size : end], not failing and kind == _A
    head = _HEADER.pack(number, _SERVER_FAILURE if failing else _ANSWER, 1, int(found), 0, 0)
    name_again = 0xC000 | _HEADER.size
    record = struct.pack("!3HIH", name_again, _A, 1, _IN_A_MOMENT, 4) + bytes([127, 0, 0, 1])
    return head + asked + (record if found else b"")


@contextmanager
def nameserver(folder: Path) -> Iterator[tuple[Nameserver, Sequence[str]]]:
    """The server, and what to put before a command so that its names are looked up there."""
    server = Nameserver()
    resolver, order = folder / "resolv.conf", folder / "nsswitch.conf"
    resolver.write_text(f"nameserver {server.address}\n")
    order.write_text("hosts: dns\n")
    script = (
        f'mount --bind {resolver} /etc/resolv.conf && mount --bind {order} /etc/nsswitch.conf && exec "$@"'
    )
    try:
        yield server, ("unshare", "--mount", "sh", "-c", script, "sh")
    finally:
        if server.fault != DOWN:
            server.close()
