"""New snapshots for every model that runs somewhere or that a revert would bring back, as Git names them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from scripts.forges.forge import Forge
from scripts.history import deployment_history
from scripts.history.deployment_history import DeploymentHistory
from scripts.history.repository import TRUNK, temporary_copy
from scripts.release_file import Release
from scripts.status.report import environments

BACK = 2
"""How many models before the one that runs are kept ready for a revert."""

Model = tuple[int, str]
Publish = Callable[[Sequence[Model]], list[dict[str, Any]]]
"""Writes a snapshot for each model by version and sha256; one that could not be written has an `error`."""


def refreshed(forge: Forge, publish: Publish, back: int = BACK) -> list[dict[str, Any]]:
    """What was written for each model, with the environments that it was kept ready for."""
    with temporary_copy(forge) as repository:
        names = environments(repository, TRUNK)
        histories = [deployment_history.read(repository, name, TRUNK) for name in names]
    wanted = models_of(histories, back)
    if not wanted:
        return []
    written = publish(list(wanted))
    return [told | {"environments": kept} for told, kept in zip(written, wanted.values(), strict=True)]


def models_of(histories: Iterable[DeploymentHistory], back: int) -> Mapping[Model, list[str]]:
    """Environments by model: the one that runs in each and the last `back` others that ran there before."""
    found: dict[Model, list[str]] = {}
    for history in histories:
        newest_first = (deployment.after for deployment in reversed(history.deployments))
        models = dict.fromkeys(_model(release) for release in newest_first if release.has_model)
        for model in list(models)[: back + 1]:
            found.setdefault(model, []).append(history.environment)
    return found


def _model(release: Release) -> Model:
    return release.model_version, release.model_sha256
