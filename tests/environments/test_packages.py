"""Each package of the offer is whole: its services and no other, their secrets and connections, nothing in the air."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.environments.connections import allowed, candidates, let_by, matrix
from tests.environments.network_policies import DIRECTIONS, selects
from tests.environments.packages import PLACES, SERVICES, Package, package
from tests.environments.rendered import Manifest, manifests, of_kind
from tests.environments.test_platform import references

NAMESPACE = "purchase-prediction-{}"


@pytest.fixture(params=list(SERVICES))
def built(request: pytest.FixtureRequest) -> Package:
    return package(request.param)


def names(found: list[Manifest], *kinds: str) -> set[str]:
    return {each["metadata"]["name"] for each in of_kind(found, *kinds)}


def test_an_environment_has_exactly_the_services_of_the_package(built: Package) -> None:
    for place in ("staging", "production"):
        found = built.manifests[place]
        assert names(found, "Deployment") == SERVICES[built.name]
        for kind in ("Service", "ServiceAccount", "PodDisruptionBudget", "HorizontalPodAutoscaler"):
            assert {name for name in names(found, kind) if not name.endswith("-preview")} == SERVICES[
                built.name
            ]


def test_operations_are_in_one_package_only(built: Package) -> None:
    found = built.manifests["platform"]
    watching = built.name == "operate"
    there = {"oncall"} if watching else set()
    assert names(found, "Deployment", "StatefulSet") == {
        "database",
        "model-store",
        "rate-limits",
        "registry",
        *there,
    }
    assert bool(names(found, "PrometheusRule")) == watching
    clocks = names(found, "CronWorkflow")
    assert ({"upkeep"} < clocks) if watching else (clocks == {"upkeep"})
    assert "retrain" in names(found, "WorkflowTemplate")


def test_the_whole_offer_is_what_this_repository_installs() -> None:
    for place in PLACES:
        assert package("operate").manifests[place] == manifests(place)


def test_every_secret_that_is_read_is_made_and_none_is_made_for_nobody(built: Package) -> None:
    read = {
        (namespace, name)
        for each in built.everything
        for namespace, name, _ in references(
            each, each["metadata"].get("namespace", NAMESPACE.format("platform"))
        )
    }
    made = {
        (each["metadata"]["namespace"], each["spec"]["target"]["name"])
        for each in of_kind(built.everything, "ExternalSecret")
    }
    assert made == read


def test_every_pod_may_do_what_is_written_among_those_that_are_there_and_nothing_else(built: Package) -> None:
    elsewhere = {*matrix()["addresses"], *(each for each in matrix()["namespaces"])}
    there = {
        f"{place}/{name}"
        for place in PLACES
        for name in {
            *names(built.manifests[place], "Deployment", "StatefulSet", "CronJob"),
            *({*matrix()["jobs"].get(place, ())} - names(package("operate").manifests[place], "CronJob")),
        }
    }

    def known(end: str) -> bool:
        return end in there or end.partition("/")[0] in elsewhere

    policies = of_kind(built.everything, "NetworkPolicy")
    for direction in DIRECTIONS:
        asked = [
            (row, connection)
            for row, connection in candidates()
            if known(row.source)
            and known(row.target)
            and str((connection.source if direction == "Egress" else connection.target).namespace).startswith(
                "purchase-prediction-"
            )
        ]
        rows = {row for row, _ in asked}
        assert {row for row, lets in let_by(direction, policies, asked) if lets} == allowed() & rows


def test_every_namespace_starts_closed(built: Package) -> None:
    for place in PLACES:
        closed = [
            each["spec"]
            for each in of_kind(built.manifests[place], "NetworkPolicy")
            if each["spec"]["podSelector"] == {} and set(each["spec"]["policyTypes"]) == {"Egress", "Ingress"}
        ]
        assert [set(spec) & {"ingress", "egress"} for spec in closed] == [set()]


def addresses(found: Any) -> Iterator[str]:
    """Every address of a service of ours in a manifest, as name.namespace or name."""
    if isinstance(found, str):
        yield from (
            match[1]
            for match in re.finditer(r"(?:https?|postgresql)://(?:[\w-]+@)?([a-z][a-z0-9.-]*):\d+", found)
            if "." not in match[1] or match[1].partition(".")[2].startswith("purchase-prediction-")
        )
    elif isinstance(found, dict | list):
        for each in found.values() if isinstance(found, dict) else found:
            yield from addresses(each)


def test_nothing_points_at_what_is_not_there(built: Package) -> None:
    services = {
        f"{name}.{NAMESPACE.format(place)}"
        for place in PLACES
        for name in names(built.manifests[place], "Service")
    }
    for place in PLACES:
        accounts = names(built.manifests[place], "ServiceAccount")
        for each in built.manifests[place]:
            namespace = each["metadata"].get("namespace", NAMESPACE.format(place))
            for address in addresses(each.get("spec", {}).get("template", each)):
                full = address if "." in address else f"{address}.{namespace}"
                assert full in services, (place, each["metadata"]["name"], address)
        for each in of_kind(built.manifests[place], "Deployment", "StatefulSet"):
            assert each["spec"]["template"]["spec"]["serviceAccountName"] in accounts
        for each in of_kind(built.manifests[place], "Service", "PodDisruptionBudget"):
            spec = each["spec"]
            selector = (
                spec["selector"]
                if each["kind"] == "PodDisruptionBudget"
                else {"matchLabels": spec["selector"]}
            )
            pods = of_kind(built.manifests[place], "Deployment", "StatefulSet")
            assert any(selects(selector, pod["spec"]["template"]["metadata"]["labels"]) for pod in pods)


def test_a_package_that_is_taken_by_half_is_noticed() -> None:
    """The console of an environment asks an on-call service that the platform has not."""
    half = Package(
        "operate", {**package("operate").manifests, "platform": package("collect").manifests["platform"]}
    )
    with pytest.raises(AssertionError, match="oncall"):
        test_nothing_points_at_what_is_not_there(half)
    with pytest.raises(AssertionError):
        test_every_secret_that_is_read_is_made_and_none_is_made_for_nobody(half)
