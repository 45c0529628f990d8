"""Watching an environment's Rollouts: one that was aborted is answered with the pull request of a rollback.

An abort leaves Git ahead of the cluster: the old pods serve, the release file names the new release, and whatever
makes the pods anew would bring it back. The answer is a function of (Git, forge, cluster): killed anywhere and run
again, there is one pull request, and one that a person closed stays closed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scripts.forges.forge import Forge
from scripts.history.repository import temporary_copy
from scripts.promotion.bridge import Bridge
from scripts.promotion.opening import Opened
from scripts.promotion.rollback import open_rollback
from scripts.running.confirm import expected_of
from scripts.running.kubernetes import Cluster
from scripts.running.pods import Expected
from scripts.running.rollouts import Rolling, rollouts

BROKEN_LOOKS = 20
"""So many in a row end the process: whoever started it sees that it cannot look."""

Attempts = frozenset[tuple[str, str, str]]


@dataclass(frozen=True)
class Seen:
    """What one look found, and what came of it.

    Attributes:
        tried: Every Rollout in a line.
        opened: The rollback, None when no Rollout gave up what Git names.
    """

    tried: tuple[str, ...]
    opened: Opened | None = None

    def to_json(self) -> dict[str, Any]:
        """For a program to read."""
        shown = self.opened.pull_request if self.opened else None
        return {
            "rollouts": list(self.tried),
            "action": self.opened.action if self.opened else "none",
            "release": self.opened.release.model_dump() if self.opened else None,
            "pull_request": shown.number if shown else None,
            "url": shown.url if shown else None,
        }


@dataclass
class Watch:
    """Looks at one environment.

    Args:
        forge: Where the release is read.
        bridge: Made when a rollback has to be proposed.
        cluster: Where the Rollouts are.
        environment: Whose release.
        requested_by: In whose name a rollback is proposed.
    """

    forge: Forge
    bridge: Callable[[], Bridge]
    cluster: Cluster
    environment: str
    requested_by: str
    _namespace: str | None = None
    _answered: Attempts = field(default_factory=frozenset)
    """Aborts that this process has answered, so that a pull request which waits for its approval costs no copy
    of the repository at every look."""

    def look(self) -> Seen:
        """Look once.

        Raises:
            Refused: There is no release yet, or a rollback is refused: a person closed it, nothing earlier can be
                served, or another release is live by now.
            Broken: The cluster, the forge or a store did not answer.
        """
        expected = None if self._namespace else self._expected()
        self._namespace = expected.namespace if expected else self._namespace
        found = rollouts(self.cluster, str(self._namespace))
        told = tuple(each.told for each in found)
        aborted = frozenset(each.attempt for each in found if each.aborted)
        if aborted <= self._answered:
            self._answered = aborted
            return Seen(told)
        expected = expected or self._expected()
        failed = [each for each in found if each.aborted and expected.is_tried_by(each)]
        opened = self._roll_back(expected, failed) if failed else None
        self._answered = aborted if opened else frozenset()
        return Seen(told, opened)

    def _expected(self) -> Expected:
        with temporary_copy(self.forge) as repository:
            return expected_of(repository, self.environment)

    def _roll_back(self, expected: Expected, failed: list[Rolling]) -> Opened:
        reason = "; ".join(each.told for each in failed)
        release = expected.release
        return open_rollback(self.bridge(), self.environment, self.requested_by, reason, of=release)


def keep_looking(
    watch: Watch,
    every_seconds: float,
    tell: Callable[[dict[str, Any]], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Look again and again; what is said is told when it changes, and what broke is tried again.

    Raises:
        Exception: The last of `BROKEN_LOOKS` looks in a row that broke.
    """
    broken, said = 0, dict[str, Any]()
    while True:
        now: dict[str, Any]
        try:
            now, broken = watch.look().to_json(), 0
        except Exception as error:  # a process that watches outlives what it watches
            broken += 0 if getattr(error, "reason", None) else 1
            if broken == BROKEN_LOOKS:
                raise
            now = {"error": str(error), "reason": getattr(error, "reason", "broke")}
        if now != said:
            tell(now)
            said = now
        sleep(every_seconds)
