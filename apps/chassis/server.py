"""The process of a service: where it listens, how it hands its port on and how it ends."""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import uvicorn
from fastapi import FastAPI

from apps.chassis import logs
from apps.chassis.settings import BadSettings, ServiceSettings, read_settings
from ml.errors import MlError

REFUSED, BROKE = 1, 70
KEEP_ALIVE_SECONDS = 30
BACKLOG = 2048

Settings = TypeVar("Settings", bound=ServiceSettings)


class PortTaken(Exception):
    """The address cannot be listened on; the text is one sentence."""


def listening_socket(settings: ServiceSettings) -> socket.socket:
    """The inherited socket when there is one, else a new one on the settings' address.

    Raises:
        PortTaken: Another process listens there, or the address is not this machine's.
    """
    if settings.listen_fd is not None:
        return socket.socket(fileno=settings.listen_fd)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        prefix = type(settings).model_config.get("env_prefix", "")
        reason = os.strerror(error.errno or 0)
        address = f"{settings.host} port {settings.port}"
        raise PortTaken(f"cannot listen on {address} ({reason}); choose another with {prefix}PORT") from error
    return listener


class Server(uvicorn.Server):
    """A server that drains before it closes.

    uvicorn closes idle connections the moment it stops, and with them a request that was already on its
    way. Here the listener closes first, open connections are answered for `drain_seconds` more and asked to
    close, and only then the rest of uvicorn's shutdown runs.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_seconds: float) -> None:
        super().__init__(config)
        self.app, self.drain_seconds = app, drain_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer what is still coming, then end."""
        self.app.state.draining = True
        await self._stop_accepting()
        await asyncio.sleep(self.drain_seconds)
        await super().shutdown(sockets)

    async def _stop_accepting(self) -> None:
        """Close the listeners, but not under connections that asyncio accepted and has not set up yet."""
        loop = asyncio.get_running_loop()
        for listener in (listener for server in self.servers for listener in server.sockets):
            loop.remove_reader(listener.fileno())
        await asyncio.sleep(0)
        for server in self.servers:
            server.close()


def serve(app: FastAPI, settings: ServiceSettings) -> None:
    """Answer requests until SIGTERM, SIGINT or the end of the parent, then stop in order and return.

    Raises:
        PortTaken: The address is taken.
    """
    for descriptor in (settings.listen_fd, settings.ready_fd, settings.parent_pipe_fd):
        if descriptor is not None:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - it has no other form
    listener = listening_socket(settings)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.stop_timeout_seconds,
    )
    server = Server(config, app, settings.drain_seconds)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again when it is done
        signal.signal(number, lambda *_: None)
    if settings.parent_pipe_fd is not None:
        _end_with_parent(settings.parent_pipe_fd, server, settings)
    try:
        server.run(sockets=[listener])
    except SystemExit:
        raise SystemExit(BROKE) from None  # uvicorn's 3: the application did not start, and the log says why


def _end_with_parent(pipe_fd: int, server: Server, settings: ServiceSettings) -> None:
    def wait_for_end() -> None:
        while os.read(pipe_fd, 1):
            pass
        server.should_exit = True
        time.sleep(settings.drain_seconds + settings.stop_timeout_seconds + 5)
        os._exit(BROKE)  # whatever still hangs would otherwise outlive its parent and keep the port

    threading.Thread(target=wait_for_end, name="parent-pipe", daemon=True).start()


def run(kind: type[Settings], create: Callable[[Settings], FastAPI]) -> None:
    """The `main` of a service: read its settings, build its application, serve it.

    Ends with exit code 1 and one sentence on stderr when the environment, a file it names or the port does not
    allow a start.
    """
    try:
        settings = read_settings(kind)
        logs.configure(kind.model_config.get("env_prefix", "").rstrip("_").lower(), settings.log_level)
        serve(create(settings), settings)
    except (BadSettings, PortTaken, MlError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(REFUSED) from None
