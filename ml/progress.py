"""How long steps say how far they are."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what is being done."""


def silent(done: int, total: int, label: str) -> None:
    """For callers that do not show progress."""
