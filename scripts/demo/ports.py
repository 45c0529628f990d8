"""Which ports the demo needs, and who holds one that is taken."""

import socket
from dataclasses import dataclass

import psutil

UNSEEN = "a process that this user may not see"


@dataclass(frozen=True)
class Taken:
    """A port that somebody listens on."""

    name: str
    port: int
    holder: str

    def __str__(self) -> str:
        """One clause for a person."""
        return f"port {self.port} ({self.name}) is taken by {self.holder}"


def taken(ports: dict[str, int], host: str = "127.0.0.1") -> list[Taken]:
    """The ports, by name, that cannot be bound now, each with the process that listens on it."""
    return [Taken(name, port, holder_of(port)) for name, port in ports.items() if not _free(port, host)]


def holder_of(port: int) -> str:
    """Name and id of the process that listens on a port, as far as this user may see it."""
    for process in psutil.process_iter(["pid", "name", "cmdline"]):
        try:
            connections = process.net_connections(kind="inet")
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
        if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections):
            command = " ".join(process.info["cmdline"] or [process.info["name"]])
            return f"process {process.info['pid']} ({command[:80]})"
    return UNSEEN


def _free(port: int, host: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
