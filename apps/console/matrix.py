"""Every environment in one row: what Git says, what Argo CD synced, what its pods report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.console.argo import Synced
from apps.console.deployments import Release
from apps.console.figures import Reported
from apps.console.git_history import Asked


@dataclass(frozen=True)
class Row:
    """One environment; what is not known is None, or nothing for its pods.

    Attributes:
        synced_release: What the commit that Argo CD synced says.
    """

    environment: str
    asked: Asked | None
    synced: Synced | None
    synced_release: Release | None
    reported: tuple[Reported, ...]

    @property
    def synced_agrees(self) -> bool | None:
        """Whether the cluster was given what Git says; None where a side is not known."""
        if self.asked is None or self.synced_release is None:
            return None
        return self.synced_release == self.asked.release

    @property
    def pods_agree(self) -> bool | None:
        """Whether every pod runs what Git says; None where a side is not known."""
        if self.asked is None or not self.reported:
            return None
        return {each.release for each in self.reported} == {self.asked.release}


def matrix(
    asked: Sequence[Asked],
    synced: Mapping[str, tuple[Synced, Release | None]],
    reported: Sequence[Reported],
    first: str,
) -> list[Row]:
    """One row per environment of Git, `first` before the others by name; without Git those that Argo CD knows."""
    wanted = {each.environment: each for each in asked}
    names = sorted({*(wanted or synced), first}, key=lambda name: (name != first, name))
    nothing: tuple[Synced | None, Release | None] = (None, None)
    rows = []
    for name in names:
        given, release = synced.get(name, nothing)
        running = tuple(each for each in reported if each.environment == name)
        rows.append(Row(name, wanted.get(name), given, release, running))
    return rows
