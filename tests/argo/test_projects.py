"""A project lets through what its application renders and no more, and so do the rights of its sync."""

import pytest

from tests.argo.objects import (
    OURS,
    PREFIX,
    WRITE,
    bootstrap,
    objects,
    rendered,
    resource_of,
    rights,
    specs,
    subjects_of,
)
from tests.environments.rendered import Manifest, group_of, of_kind
from tests.environments.rollouts import rolled_out

SERVER = "https://kubernetes.default.svc"
OWN = [f"{PREFIX}-{name}" for name in (*OURS, "policies", "signatures")]


def kinds(listed: list[dict[str, str]]) -> set[tuple[str, str]]:
    found = {(each["group"], each["kind"]) for each in listed}
    assert len(found) == len(listed)
    return found


def with_a_rollout(name: str) -> list[Manifest]:
    """What an environment's application renders once its overlay takes components/rollout: that is one line."""
    environment = name.removeprefix(f"{PREFIX}-")
    return rolled_out(environment, "canary") if environment in {"staging", "production"} else []


@pytest.mark.parametrize("name", OWN)
def test_the_kinds_of_a_project_are_those_that_its_application_renders(name: str) -> None:
    project = specs("AppProject")[name]
    made = rendered(name) + [each for each in with_a_rollout(name) if each not in rendered(name)]
    used = {(group_of(each), each["kind"], "namespace" in each["metadata"]) for each in made}
    assert kinds(project["namespaceResourceWhitelist"]) == {(g, k) for g, k, inside in used if inside}
    assert kinds(project["clusterResourceWhitelist"]) == {(g, k) for g, k, inside in used if not inside}


@pytest.mark.parametrize("name", OWN)
def test_the_namespaces_of_a_project_are_those_that_its_application_writes_to(name: str) -> None:
    project, application = specs("AppProject")[name], specs("Application")[name]
    assert project["sourceRepos"] == [application["source"]["repoURL"]]
    assert application["destination"] in project["destinations"]
    used = {each["metadata"]["namespace"] for each in rendered(name) if "namespace" in each["metadata"]}
    assert {each["server"] for each in project["destinations"]} == {SERVER}
    assert {each["namespace"] for each in project["destinations"]} == used | {
        application["destination"]["namespace"]
    }


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_an_environment_has_one_repository_one_namespace_and_no_cluster_objects(environment: str) -> None:
    project = specs("AppProject")[f"{PREFIX}-{environment}"]
    assert len(project["sourceRepos"]) == 1
    assert [each["namespace"] for each in project["destinations"]] == [f"{PREFIX}-{environment}"]
    assert project["clusterResourceWhitelist"] == []


def test_the_roots_project_holds_what_is_in_its_folder() -> None:
    project = specs("AppProject")[PREFIX]
    used = {(group_of(each), each["kind"]) for each in objects().values()}
    assert kinds(project["namespaceResourceWhitelist"]) == used
    assert project["clusterResourceWhitelist"] == []
    assert {each["metadata"]["namespace"] for each in objects().values()} == {"argocd"}


def test_charts_come_from_the_listed_repositories_into_the_listed_namespaces() -> None:
    project = specs("AppProject")[f"{PREFIX}-charts"]
    charts = [each for each in specs("Application").values() if each["project"] == f"{PREFIX}-charts"]
    assert set(project["sourceRepos"]) == {each["source"]["repoURL"] for each in charts}
    namespaces = {each["namespace"] for each in project["destinations"]}
    assert {each["destination"]["namespace"] for each in charts} == namespaces - {"kube-system"}
    assert not namespaces & {f"{PREFIX}-{name}" for name in OURS} | namespaces & {"argocd", "*"}


def account_of(project: str) -> str:
    """As whom a sync of the project acts."""
    (only,) = specs("AppProject")[project]["destinationServiceAccounts"]
    assert only["server"] == SERVER
    return str(only["defaultServiceAccount"])


def test_every_project_syncs_as_an_account_of_its_own() -> None:
    accounts = {name: account_of(name) for name in specs("AppProject")}
    assert accounts == {name: f"argocd:{name}-sync" for name in accounts}
    for each in of_kind(bootstrap(), "ServiceAccount"):
        assert each["automountServiceAccountToken"] is False
    there = {f"argocd:{each['metadata']['name']}" for each in of_kind(bootstrap(), "ServiceAccount")}
    assert there == set(accounts.values())


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_sync_of_an_environment_writes_exactly_the_kinds_of_its_project(environment: str) -> None:
    name = f"{PREFIX}-{environment}"
    found = rights(account_of(name))
    assert set(found) == {name}
    written = {
        (group, resource)
        for rule in found[name]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if set(rule["verbs"]) == WRITE and set(rule) == {"apiGroups", "resources", "verbs"}
    }
    listed = kinds(specs("AppProject")[name]["namespaceResourceWhitelist"])
    assert written == {(group, resource_of(kind)) for group, kind in listed}
    assert all(set(rule["verbs"]) == WRITE for rule in found[name])


def test_the_sync_of_the_platform_writes_its_kinds_and_references_to_secrets() -> None:
    name = f"{PREFIX}-platform"
    found = rights(account_of(name))
    project = specs("AppProject")[name]
    assert set(found) == {"*", *(each["namespace"] for each in project["destinations"])}
    written = {
        (group, resource)
        for rule in found[name]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if set(rule["verbs"]) == WRITE
    }
    listed = kinds(project["namespaceResourceWhitelist"])
    assert written == {(group, resource_of(kind)) for group, kind in listed}
    for environment in ("staging", "production"):
        resources = {each for rule in found[f"{PREFIX}-{environment}"] for each in rule["resources"]}
        assert resources == {"serviceaccounts", "externalsecrets", "secretstores"}
    assert {each for rule in found["*"] for each in rule["resources"]} == {"clusterissuers"}


def test_the_sync_of_the_root_writes_projects_applications_and_one_config_map() -> None:
    assert rights(account_of(PREFIX)) == {
        "argocd": [
            {
                "apiGroups": ["argoproj.io"],
                "resources": ["applications", "appprojects"],
                "verbs": ["get", "create", "update", "patch", "delete"],
            },
            {
                "apiGroups": [""],
                "resources": ["configmaps"],
                "resourceNames": ["argocd-cm"],
                "verbs": ["get", "update", "patch"],
            },
        ]
    }


@pytest.mark.parametrize("name", [f"{PREFIX}-policies", f"{PREFIX}-signatures"])
def test_the_sync_of_the_policies_writes_policies(name: str) -> None:
    (rule,) = rights(account_of(name))["*"]
    listed = kinds(specs("AppProject")[name]["clusterResourceWhitelist"])
    assert {(group, each) for group in rule["apiGroups"] for each in rule["resources"]} == {
        (group, resource_of(kind)) for group, kind in listed
    }


def test_what_the_platforms_sync_grants_it_has_itself() -> None:
    """Else the API server refuses the Role; and it has nothing more than it grants."""
    name = f"{PREFIX}-platform"
    granted = [rule for role in of_kind(rendered(name), "Role") for rule in role["rules"]]
    other = [rule for rule in rights(account_of(name))[name] if set(rule["verbs"]) != WRITE]
    assert granted
    assert sorted((r["apiGroups"], r["resources"], r["verbs"]) for r in other) == sorted(
        (r["apiGroups"], r["resources"], r["verbs"]) for r in granted
    )


def test_only_charts_are_synced_with_every_right() -> None:
    everything = [
        subject
        for each in of_kind(bootstrap(), "ClusterRoleBinding")
        if each["roleRef"]["name"] == "cluster-admin"
        for subject in subjects_of(each)
    ]
    assert everything == [f"argocd:{PREFIX}-charts-sync"]
    for each in of_kind(bootstrap(), "Role", "ClusterRole"):
        words = {word for rule in each["rules"] for words in rule.values() for word in words}
        assert not words & {"*", "escalate", "bind", "impersonate", "secrets", "serviceaccounts/token"}


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_confirm_reads_the_pods_and_rollouts_of_an_environment_and_nothing_else(environment: str) -> None:
    found, watching = rights(f"{PREFIX}-platform:confirm"), rights(f"{PREFIX}-platform:rollout-watch")
    assert set(found) == set(watching) == {f"{PREFIX}-staging", f"{PREFIX}-production"}
    rollouts = [
        {"apiGroups": [group], "resources": kinds_, "verbs": ["get", "list", "watch"]}
        for group, kinds_ in (("argoproj.io", ["analysisruns", "rollouts"]), ("apps", ["replicasets"]))
    ]
    assert watching[f"{PREFIX}-{environment}"] == rollouts
    assert found[f"{PREFIX}-{environment}"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]},
        *rollouts,
    ]
    accounts = {
        each["metadata"]["name"] for each in of_kind(rendered(f"{PREFIX}-platform"), "ServiceAccount")
    }
    assert "confirm" in accounts


@pytest.mark.parametrize("place", OURS)
def test_a_namespace_is_restricted_and_an_environments_carries_the_label_of_the_rules(place: str) -> None:
    (labels,) = [
        each["metadata"]["labels"]
        for each in of_kind(bootstrap(), "Namespace")
        if each["metadata"]["name"] == f"{PREFIX}-{place}"
    ]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels.get("purchase-prediction.example/environment") == (None if place == "platform" else place)
