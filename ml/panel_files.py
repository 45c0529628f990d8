"""Which files of events are divided by product in one go."""

from collections.abc import Mapping
from itertools import accumulate, groupby
from typing import Final

ALONE_BYTES: Final = 5_000_000
"""A smaller file is divided alone."""

TOGETHER_BYTES: Final = 20_000_000
"""About so much of a month is divided in one go, some million events: memory grows with what is."""


def together(sizes: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Groups of files: small ones alone, large ones with others of their folder, each name once.

    Views of a product are counted once a group and written to one place. So what a bucket of products holds, and in how
    many places, grows with the events and not with the number of files; while a few late events, a small file, leave
    all other groups as they were.

    Args:
        sizes: Bytes by name; the name's folder is the month.
    """
    groups: list[tuple[str, ...]] = [(name,) for name, size in sorted(sizes.items()) if size < ALONE_BYTES]
    large = sorted(name for name, size in sizes.items() if size >= ALONE_BYTES)
    for _, month in groupby(large, key=lambda name: name.rpartition("/")[0]):
        names = list(month)
        ends = accumulate(sizes[name] for name in names)
        runs = groupby(zip(names, ends, strict=True), key=lambda each: each[1] // TOGETHER_BYTES)
        groups += [tuple(name for name, _ in run) for _, run in runs]
    return groups
