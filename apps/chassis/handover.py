"""How a new process takes a port over: it says that it is ready before it answers anything."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from apps.chassis.health import Check, readiness_of

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class NotReady(Exception):
    """The process was handed a port and cannot answer on it."""


@asynccontextmanager
async def nothing_to_open(_: FastAPI) -> AsyncIterator[None]:
    """The lifespan of a service that opens nothing."""
    yield


def announcing(lifespan: Lifespan, checks: Mapping[str, Check], ready_fd: int | None) -> Lifespan:
    """`lifespan`, followed by one JSON line with the readiness on `ready_fd` when there is one.

    Under a supervisor the old process still answers on the same port, so a new one that is not ready ends
    instead of answering beside it. Without one it stays up and `/ready` says what is missing.
    """

    @asynccontextmanager
    async def announced(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app):
            if ready_fd is not None:
                readiness = await readiness_of(checks)
                with os.fdopen(ready_fd, "w") as pipe:
                    pipe.write(readiness.model_dump_json() + "\n")
                if not readiness.ready:
                    raise NotReady(readiness.model_dump_json())
            yield

    return announced
