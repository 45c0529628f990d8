"""The differences of rendered manifests as a reviewer sees them: short enough, and without secrets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from scripts.promotion.markdown import fence
from scripts.promotion.secret_shapes import hidden

_LONGEST_RUN = "`" * 40
_LONG_RUN = re.compile(_LONGEST_RUN + "+")
_NO_KUSTOMIZE = "Nothing was rendered: there was no kustomize where this was opened; `make tools` builds it."


@dataclass(frozen=True)
class ShownDiff:
    """A sentence, and the lines it speaks of (none: only the sentence counts)."""

    note: str
    text: str = ""

    @property
    def fence(self) -> str:
        """Backticks around the text."""
        return fence(self.text)


def shown(diffs: Mapping[str, str] | None, room: int) -> list[ShownDiff]:
    """The diff of each environment, all of them in at most `room` characters; None where nothing rendered."""
    if diffs is None:
        return [ShownDiff(_NO_KUSTOMIZE)]
    found = []
    for left, (environment, diff) in zip(range(len(diffs), 0, -1), diffs.items(), strict=True):
        found.append(_one(environment, diff, room // left))
        room -= len(found[-1].text)
    return found


def _one(environment: str, diff: str, room: int) -> ShownDiff:
    if not diff:
        return ShownDiff(f"**Empty**: the rendered manifests of {environment} do not change.")
    lines = _LONG_RUN.sub(_LONGEST_RUN, diff).splitlines()
    kept = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    note = f"The rendered manifests of {environment} change in these lines:"
    if len(kept) < len(lines):
        all_lines = f"`kustomize build environments/{environment}` shows all"
        note = f"The rendered manifests of {environment}, the first {len(kept)} of {len(lines)} lines; {all_lines}:"
    return ShownDiff(note, hidden("\n".join(kept)))
