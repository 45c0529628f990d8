"""The verbs of `python -m ml`, one module each, loaded when asked for.

Each has `run(options, settings)` and returns an `Answer`: the JSON for stdout, and whether it is a yes.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What a verb says; `yes` is exit code 0, otherwise 1."""

    report: dict[str, Any]
    yes: bool = True
