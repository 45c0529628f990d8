"""Whether a pull request shows what promote writes for it now."""

import re

_DIFF = re.compile(r"(?P<fence>`{3,})diff")
_AROUND = (" ", "@@")  # lines of a diff that only say where it is


def first_difference(shown: str, written: str) -> tuple[str, str] | None:
    """The first line that differs, as shown and as it would be written; None when they say the same.

    What stands around the changed lines of a diff does not count: it moves with every other change of the
    manifests, and changes nothing of what a reviewer saw.
    """
    ours, theirs = _essence(written), _essence(shown)
    length = max(len(ours), len(theirs))
    pairs = zip(_filled(theirs, length), _filled(ours, length), strict=True)
    return next(((there, here) for there, here in pairs if there != here), None)


def _filled(lines: list[str], length: int) -> list[str]:
    return [*lines, *["(nothing)"] * (length - len(lines))]


def _essence(text: str) -> list[str]:
    lines, end = [], ""
    for line in text.replace("\r\n", "\n").strip().split("\n"):
        started = _DIFF.fullmatch(line)
        if not end and started:
            end = started["fence"]
        elif end and line == end:
            end = ""
        elif end and line.startswith(_AROUND):
            continue
        lines.append(line.rstrip())
    return lines
