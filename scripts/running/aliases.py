"""The alias `champion` mirrors Git: it names the model that production runs, and nobody decides by it.

`promote confirm` sets it once every pod serves the release; a hand that moves it is found and set right here.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ml.errors import ModelNotFound
from scripts.errors import Refused
from scripts.evidence.candidate import Registry
from scripts.forges.forge import Forge
from scripts.history import deployment_history
from scripts.history.deployment_history import DeploymentHistory
from scripts.history.repository import TRUNK, temporary_copy
from scripts.release_file import Release

CHAMPION = "champion"
PRODUCTION = "production"
"""The environment whose release is the champion."""


@dataclass(frozen=True)
class AliasState:
    """What the alias names against what the environment runs, both versions in the registry.

    Attributes:
        state: `agrees`; `behind` when it still names the release before, which `confirm` changes once the pods
            serve the new one; `moved` when it names anything else, which only a hand can have done.
    """

    state: Literal["agrees", "behind", "moved"]
    names: int | None
    should_name: int | None

    def to_json(self) -> dict[str, Any]:
        """For a program to read."""
        return {"alias": CHAMPION, **asdict(self)}


def state_of(registry: Registry, history: DeploymentHistory) -> AliasState:
    """Where the alias stands against an environment's history.

    Raises:
        Refused: The registry knows the live version with other bytes, or not at all.
    """
    live = history.live
    names = _named(registry)
    if live is None or not live.after.has_model:
        return AliasState("agrees" if names is None else "moved", names, None)
    wanted = live.after.model_version
    _same_bytes(registry, live.after)
    if names == wanted:
        return AliasState("agrees", names, wanted)
    before = live.before.model_version if live.before and live.before.has_model else None
    return AliasState("behind" if names == before else "moved", names, wanted)


def mirror(registry: Registry, release: Release) -> int | None:
    """Point the alias at a release that is served; the version that it named before comes back.

    Raises:
        Refused: The registry knows the release's version with other bytes, or not at all.
    """
    _same_bytes(registry, release)
    names = _named(registry)
    if names != release.model_version:
        registry.set_alias(CHAMPION, release.model_version)
    return names


def reconciled(forge: Forge, registry: Registry, environment: str, *, fix: bool) -> tuple[AliasState, bool]:
    """The alias against an environment's history, and whether it was moved back, if `fix` allows it.

    Where it is only behind it stays: nobody has asked the pods yet.
    """
    with temporary_copy(forge) as repository:
        deployment_history.live_file(repository, environment, TRUNK)
        history = deployment_history.read(repository, environment, TRUNK)
    state = state_of(registry, history)
    fixed = fix and state.state == "moved" and history.live is not None and history.live.after.has_model
    if fixed and history.live:
        mirror(registry, history.live.after)
    return state, fixed


def _named(registry: Registry) -> int | None:
    try:
        return registry.resolve(CHAMPION).version
    except ModelNotFound:
        return None


def _same_bytes(registry: Registry, release: Release) -> None:
    """Refuse to crown a version whose bytes are not those of the release."""
    try:
        found = registry.resolve(str(release.model_version)).sha256
    except ModelNotFound:
        found = "nothing"
    if found != release.model_sha256:
        message = f"the registry says version {release.model_version} is {found[:12]}"
        raise Refused("registry_disagrees", f"{message}, the release {release.model_sha256[:12]}")
