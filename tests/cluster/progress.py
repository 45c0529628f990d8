"""One line on standard error for each phase, also while pytest keeps what tests print."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

shown: Callable[[], AbstractContextManager[None]] = nullcontext
"""Lets what is printed through; conftest.py sets it to pytest's own."""


def tell(what: str) -> None:
    """Say what is going on now."""
    with shown():
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {what}\n")
