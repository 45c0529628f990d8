"""What could move into each environment now and what stands in its way: what `open` would say, asked in vain."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ml.errors import MlError, StoreUnavailable
from scripts.errors import Broken, Refused
from scripts.evidence.rules import Rules, rules_of
from scripts.forges.forge import Forge
from scripts.history import deployment_history
from scripts.history.repository import TRUNK, Repository, temporary_copy
from scripts.promotion.bridge import Bridge, Wish
from scripts.promotion.opening import prepared
from scripts.promotion.taken_back import refuse_what_was_taken_back
from scripts.release_file import Release, parse
from scripts.status import report

CHALLENGER = "challenger"


@dataclass
class Move:
    """What could come into an environment.

    Attributes:
        source: The environment it comes from, or `challenger`.
        release: None while nobody can say which.
        soak_minutes_left: By Git, of a release that comes from another environment.
        obstacle: The first thing that stands in the way; None when `open` would open it.
    """

    source: str
    release: Release | None = None
    soak_minutes_left: float | None = None
    obstacle: dict[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "from": self.source,
            "release": self.release.model_dump() if self.release else None,
            "soak_minutes_left": self.soak_minutes_left,
            "stands_in_the_way": self.obstacle,
        }

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Keep why something cannot be done; to look at a plan must always work."""
        try:
            yield
        except Refused as refusal:
            self.obstacle = {"reason": refusal.reason, "error": str(refusal)}
        except (Broken, StoreUnavailable) as error:
            self.obstacle = {"reason": "unavailable", "error": str(error)}
        except MlError as error:
            self.obstacle = {"reason": type(error).__name__, "error": str(error)}


def plan(forge: Forge, bridge: Bridge | None, now: datetime) -> dict[str, Any]:
    """Every environment's state with `could_move`: a `Move`, None when there is nothing newer.

    Args:
        forge: Where everything but models is read.
        bridge: What `open` asks; without it only Git and the forge are looked at, and no challenger is known.
        now: For the minutes that are left.
    """
    with temporary_copy(forge) as repository:
        told = report.states(forge, repository)
        for environment, state in told["environments"].items():
            move = _move(forge, repository, bridge, environment, now)
            state["could_move"] = move.to_json() if move else None
    return told


def _move(
    forge: Forge, repository: Repository, bridge: Bridge | None, environment: str, now: datetime
) -> Move | None:
    move = Move(CHALLENGER)
    with move.noting():
        rules = rules_of(repository, environment, TRUNK)
        live = parse(deployment_history.live_file(repository, environment, TRUNK))
        move.source = rules.source or CHALLENGER
        move.release = _offered(repository, bridge, rules, live)
        if move.release is None:
            return None
        move.soak_minutes_left = _minutes_left(repository, rules, now)
        refuse_what_was_taken_back(forge, repository, environment, live, move.release)
        if bridge:
            prepared(bridge, repository, Wish(environment, "plan", None if rules.source else CHALLENGER))
    return move


def _offered(repository: Repository, bridge: Bridge | None, rules: Rules, live: Release) -> Release | None:
    """What is there and not live; of models only a newer one is offered."""
    if rules.source:
        source = parse(deployment_history.live_file(repository, rules.source, TRUNK))
        return source if source.has_model and source != live else None
    if bridge is None:
        return None
    model = bridge.models.registry.resolve(CHALLENGER)
    if model.version <= live.model_version:
        return None
    return Release(image_tag=live.image_tag, model_version=model.version, model_sha256=model.sha256)


def _minutes_left(repository: Repository, rules: Rules, now: datetime) -> float | None:
    """Until the source has had its release for the soak; whether it was healthy, only Prometheus knows."""
    if rules.source is None:
        return None
    given = deployment_history.read(repository, rules.source, TRUNK).live
    age = (now - given.commit.at).total_seconds() if given else 0.0
    return max(0.0, round((rules.soak_seconds - age) / 60, 1))
