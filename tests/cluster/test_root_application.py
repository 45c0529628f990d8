"""One root brings every other application, and sets right what a hand changes in them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import argocd
from tests.cluster.bed import STAGING
from tests.cluster.pods import seconds_until
from tests.cluster.releases import ensure, release
from tests.cluster.world import World
from tests.policies.api_server import kubectl

pytestmark = pytest.mark.cluster

POLICIES = "purchase-prediction-policies"
BROUGHT = (*argocd.APPLICATIONS, POLICIES)


@pytest.fixture(scope="module")
def rooted(world: World) -> Iterator[World]:
    """A bed on which an administrator did what `argo/bootstrap/kustomization.yaml` says."""
    ensure(world, "staging", world.release(world.tags[0], world.first))
    world.repository.merged("applications that this bed can bring", _without_the_rest)
    argo = world.repository.folder / "argo"
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(argo / "bootstrap"))
    kubectl("apply", "-f", str(argo / "projects"), "-f", str(argo / "root.yaml"))
    yield world
    argocd.remove(argocd.ROOT, POLICIES)


def test_the_root_brings_every_application_of_its_folder(rooted: World) -> None:
    seconds_until(lambda: _states(argocd.ROOT) == {("Synced", "Healthy")}, 120, "the root in sync")
    seconds_until(
        lambda: _states("purchase-prediction-staging", POLICIES) == {("Synced", "Healthy")}, 120, "both"
    )
    assert set(BROUGHT) <= set(_applications())


def test_what_a_hand_changes_in_an_application_is_set_right(rooted: World) -> None:
    elsewhere = {"spec": {"source": {"targetRevision": "elsewhere"}}}
    kubectl(
        "-n", argocd.NAMESPACE, "patch", "application", STAGING, "--type=merge", "-p", json.dumps(elsewhere)
    )
    seconds_until(
        lambda: _applications()[STAGING]["spec"]["source"]["targetRevision"] == "main", 120, "main again"
    )


def test_a_release_goes_out_under_the_root(rooted: World) -> None:
    release(rooted, "staging", rooted.release(rooted.tags[1], rooted.first))


def _without_the_rest(folder: Path) -> None:
    """The bed reaches no Helm repository, and something of its own stands where the platform's store would be."""
    for file in (folder / "argo" / "applications").iterdir():
        if file.stem not in BROUGHT:
            file.unlink()


def _applications() -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    found = json.loads(kubectl("-n", argocd.NAMESPACE, "get", "applications", "-o", "json")[0])
    return {each["metadata"]["name"]: each for each in found["items"]}


def _states(*names: str) -> set[tuple[str, str]]:
    """Sync and health of these applications."""
    found = _applications()
    states = [found.get(name, {}).get("status", {}) for name in names]
    return {
        (each.get("sync", {}).get("status", ""), each.get("health", {}).get("status", "")) for each in states
    }
