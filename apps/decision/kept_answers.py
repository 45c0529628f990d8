"""The newest answers of another service, for when it does not give one."""

from collections import OrderedDict
from typing import NamedTuple


class Kept(NamedTuple):
    """An answer's body, and when it came by the monotonic clock."""

    content: bytes
    at: float


class KeptAnswers:
    """Answers by request, at most `most_bytes` of them; those that were not used for longest leave first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.size_bytes = most_bytes, 0
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def put(self, request: str, content: bytes, at: float) -> None:
        """Keep an answer in the place of an older one; one that is larger than all the room is not kept."""
        self.drop(request)
        if len(content) > self.most_bytes:
            return
        self._kept[request] = Kept(content, at)
        self.size_bytes += len(content)
        while self.size_bytes > self.most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self.size_bytes -= len(oldest.content)

    def get(self, request: str) -> Kept | None:
        """The newest answer to a request, None if there is none."""
        kept = self._kept.get(request)
        if kept is not None:
            self._kept.move_to_end(request)
        return kept

    def drop(self, request: str) -> None:
        """Forget what was answered."""
        kept = self._kept.pop(request, None)
        if kept is not None:
            self.size_bytes -= len(kept.content)
