"""What promotion refuses, and what breaks under it."""

from ml.errors import MlError


class Refused(MlError):
    """The answer is no; the same request gets the same answer until something named here changes.

    Args:
        reason: A stable name for machines, for example `held`.
        message: One sentence with the offending value and the way out.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Broken(Exception):
    """A tool, a forge or a disk failed; trying again may help."""
