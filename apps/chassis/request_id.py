"""The id that ties a caller's request to our log lines, error answers and onward calls."""

import os
import re
from contextvars import ContextVar

HEADER = "X-Request-ID"
_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def begin(offered: bytes | None) -> str:
    """The caller's id when it is plain enough to log, else a new one; current from here on."""
    accepted = offered is not None and _ACCEPTABLE.fullmatch(offered) is not None
    request_id = offered.decode("ascii") if offered is not None and accepted else os.urandom(16).hex()
    _current.set(request_id)
    return request_id


def current_request_id() -> str:
    """The id of the request being answered, or an empty string outside of one."""
    return _current.get()
