"""A node can be emptied, and a pod that comes to another node with its volume starts there soon."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.environments.network_policies import selects
from tests.environments.rendered import ENVIRONMENTS, SERVICES, Manifest, manifests, named, of_kind

HOSTNAME = "kubernetes.io/hostname"


def must_be_together(pod: Manifest) -> bool:
    """Whether a pod may only run on the node of its like."""
    affinity = pod["spec"].get("affinity", {}).get("podAffinity", {})
    return any(
        each["topologyKey"] == HOSTNAME and selects(each["labelSelector"], pod["metadata"]["labels"])
        for each in affinity.get("requiredDuringSchedulingIgnoredDuringExecution", ())
    )


def left_behind(pods: int, may_miss: int, *, together: bool) -> int:
    """Pods of a service that stay on a cordoned node, after as many evictions as its budget allows."""
    staying, ready = pods, pods
    while staying and pods - ready < may_miss:
        staying, ready = staying - 1, ready - 1
        if not (together and staying):  # else the successors wait for the very node that is being emptied
            ready = pods
    return staying


def may_miss(budget: Manifest, pods: int) -> int:
    value = str(budget["maxUnavailable"])
    return -(-int(value.removesuffix("%")) * pods // 100) if value.endswith("%") else int(value)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_node_with_all_pods_of_a_service_can_be_emptied(environment: str, service: str) -> None:
    found = manifests(environment)
    budget = named(found, "PodDisruptionBudget", service)["spec"]
    together = must_be_together(named(found, "Deployment", service)["spec"]["template"])
    scaler = named(found, "HorizontalPodAutoscaler", service)["spec"]
    for pods in range(scaler["minReplicas"], scaler["maxReplicas"] + 1):
        assert left_behind(pods, may_miss(budget, pods), together=together) == 0
    assert budget["maxUnavailable"] == ("100%" if together else 1)
    assert together == ((environment, service) == ("local", "collector"))


def test_pods_that_must_be_together_and_may_only_leave_one_by_one_block_the_node() -> None:
    assert left_behind(2, 1, together=True) == 1
    assert left_behind(6, 3, together=True) == 3
    assert left_behind(2, 1, together=False) == 0
    assert left_behind(2, 0, together=False) == 2


def groups(found: Any) -> Iterator[dict[str, Any]]:
    """Everything that gives a volume's files to a group."""
    if isinstance(found, list):
        for each in found:
            yield from groups(each)
    elif isinstance(found, dict):
        if "fsGroup" in found:
            yield found
        for each in found.values():
            yield from groups(each)


def test_the_files_of_a_volume_are_not_given_to_the_group_again_at_every_start() -> None:
    found = [each for place in (*ENVIRONMENTS, "platform") for each in groups(manifests(place))]
    assert len(found) == 1 + 4  # the local collector, and the platform's
    assert {each.get("fsGroupChangePolicy") for each in found} == {"OnRootMismatch"}
    claims = of_kind(manifests("platform"), "StatefulSet", "WorkflowTemplate")
    assert all(list(groups(each)) for each in claims)
