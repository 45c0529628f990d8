"""The root finds every application, each pinned to what it runs; a sync is one wave that a revert never waits for."""

import fnmatch
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from scripts.schemas import PINS, pins
from tests.argo.objects import FILES, FOLDER, OURS, PREFIX, objects, rendered, specs
from tests.environments.rendered import named
from tests.policies.judge import SYNC
from tests.repository.imports import ROOT

REPOSITORY = "https://git.example.com/shop/purchase-prediction.git"
CHARTS = {
    "argo-rollouts",
    "argo-workflows",
    "cert-manager",
    "external-secrets",
    "kube-prometheus-stack",
    "kyverno",
}


def test_the_root_reads_every_file_but_itself_and_what_an_administrator_applies() -> None:
    directory = specs("Application")[PREFIX]["source"]["directory"]
    folders = re.fullmatch(r"{([a-z,]+)}/\*\.yaml", directory["include"])
    assert folders
    assert directory["recurse"] is True
    patterns = [f"{each}/*.yaml" for each in folders[1].split(",")]
    names = [str(path.relative_to(FOLDER)) for path in FILES]
    assert [each for each in names if not any(fnmatch.fnmatch(each, one) for one in patterns)] == [
        "root.yaml"
    ]
    inside = [str(path.relative_to(FOLDER)) for path in FOLDER.rglob("bootstrap/**/*.yaml")]
    assert not [each for each in inside if any(fnmatch.fnmatch(each, one) for one in patterns)]


def test_the_applications_are_these() -> None:
    assert set(specs("Application")) == {
        PREFIX,
        *(f"{PREFIX}-{name}" for name in (*OURS, "policies", "signatures")),
        *CHARTS,
    }
    for name, spec in specs("Application").items():
        assert spec["project"] in specs("AppProject"), name
        own = spec["source"]["repoURL"] == REPOSITORY
        assert own == (name not in CHARTS)
        assert (
            spec["source"]["targetRevision"] == "main"
            if own
            else re.fullmatch(r"v?\d+\.\d+\.\d+", spec["source"]["targetRevision"])
        )


@pytest.mark.parametrize(
    "name", [PREFIX, *(f"{PREFIX}-{each}" for each in (*OURS, "policies", "signatures")), *sorted(CHARTS)]
)
def test_git_wins_and_a_newer_commit_is_not_kept_waiting(name: str) -> None:
    sync = specs("Application")[name]["syncPolicy"]
    assert sync["automated"] == {"prune": name != PREFIX, "selfHeal": True}
    retry = sync["retry"]
    assert (retry["limit"], retry["refresh"]) == (-1, True)  # it never gives up, and takes the newest commit
    assert retry["backoff"] == {"duration": "5s", "factor": 2, "maxDuration": "30s"}


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_sync_of_an_environment_is_one_wave_without_hooks(environment: str) -> None:
    application = specs("Application")[f"{PREFIX}-{environment}"]
    assert application["source"]["path"] == f"environments/{environment}"
    assert "syncOptions" not in application["syncPolicy"]
    for manifest in rendered(f"{PREFIX}-{environment}"):
        annotations = manifest["metadata"].get("annotations", {})
        of_argo_cd = {key for key in annotations if "argocd.argoproj.io" in key}
        waits_for = {"argocd.argoproj.io/ignore-healthcheck"} if manifest["kind"] == "Ingress" else set()
        assert of_argo_cd == waits_for  # an Ingress gets its address from elsewhere, and late
        assert manifest["kind"] not in {"Job", "Pod"}  # a migration has no place here
        if manifest["kind"] == "Deployment":
            assert manifest["spec"]["progressDeadlineSeconds"] == 120


def test_production_is_written_by_the_account_that_the_admission_rule_lets_in() -> None:
    (account,) = specs("AppProject")[f"{PREFIX}-production"]["destinationServiceAccounts"]
    assert f"system:serviceaccount:{account['defaultServiceAccount']}" == SYNC["username"]


def test_syncs_act_as_their_projects_accounts() -> None:
    settings = named(objects().values(), "ConfigMap", "argocd-cm")
    assert settings["data"] == {"application.sync.impersonation.enabled": "true"}
    # The rest of this ConfigMap belongs to whoever installed Argo CD.
    options = settings["metadata"]["annotations"]["argocd.argoproj.io/sync-options"].split(",")
    assert {"ServerSideApply=true", "Prune=false"} <= set(options)


@pytest.mark.parametrize("place", OURS)
def test_a_changed_file_is_looked_at_by_the_applications_that_read_it(place: str) -> None:
    name = f"{PREFIX}-{place}"
    (metadata,) = [
        each["metadata"]
        for each in objects().values()
        if (each["kind"], each["metadata"]["name"]) == ("Application", name)
    ]
    watched = metadata["annotations"]["argocd.argoproj.io/manifest-generate-paths"].split(";")
    folders = [ROOT / each.strip("/") if each != "." else ROOT / "environments" / place for each in watched]
    read = read_by(ROOT / "environments" / place)
    assert [each for each in read if not any(each.is_relative_to(folder) for folder in folders)] == []


def read_by(folder: Path) -> list[Path]:
    """Every folder that a kustomization reads, itself included."""
    loaded = yaml.safe_load((folder / "kustomization.yaml").read_text())
    found = [folder]
    for each in (*loaded.get("resources", ()), *loaded.get("components", ())):
        path = (folder / each).resolve()
        if path.is_dir():
            found += read_by(path)
    return found


@pytest.mark.parametrize("place", OURS)
def test_the_ui_links_to_where_one_looks_next(place: str) -> None:
    links = {each["name"]: each["value"] for each in specs("Application")[f"{PREFIX}-{place}"]["info"]}
    wanted = {"Dashboards", "Runbook"} | (set() if place == "platform" else {"Console"})
    assert set(links) == wanted
    assert f"{PREFIX}-{place}" in links["Dashboards"]
    page = urlsplit(links["Runbook"])
    prefix = urlsplit(REPOSITORY).path.removesuffix(".git") + "/src/branch/main/"
    assert page.path.startswith(prefix)
    assert (ROOT / page.path.removeprefix(prefix)).is_file()


def test_a_charts_release_is_the_one_whose_definitions_its_objects_are_checked_against() -> None:
    pinned = {each.module.split("/")[1]: each.version for each in pins(PINS.read_text())}
    assert specs("Application")["cert-manager"]["source"]["targetRevision"] == pinned["cert-manager"]


def test_the_console_is_where_its_link_its_ingress_and_the_identity_provider_say() -> None:
    found = rendered(f"{PREFIX}-production")
    ingress = named(found, "Ingress", "console")["spec"]
    (container,) = named(found, "Deployment", "console")["spec"]["template"]["spec"]["containers"]
    (public,) = [each["value"] for each in container["env"] if each["name"] == "CONSOLE_PUBLIC_URL"]
    (rule,), (tls,) = ingress["rules"], ingress["tls"]
    (link,) = [
        each["value"]
        for each in specs("Application")[f"{PREFIX}-production"]["info"]
        if each["name"] == "Console"
    ]
    assert {urlsplit(link).hostname, urlsplit(public).hostname, *tls["hosts"]} == {rule["host"]}
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == "console"


def test_prometheus_reads_every_monitor_and_workflows_run_in_the_platform() -> None:
    def values(name: str) -> dict[str, Any]:
        return dict(specs("Application")[name]["source"]["helm"]["valuesObject"])

    prometheus = values("kube-prometheus-stack")["prometheus"]["prometheusSpec"]
    for kind in ("podMonitor", "serviceMonitor", "rule"):
        assert prometheus[f"{kind}SelectorNilUsesHelmValues"] is False
    assert values("argo-workflows")["controller"]["workflowNamespaces"] == [f"{PREFIX}-platform"]
    assert values("argo-rollouts")["serviceAccount"]["name"] == "argo-rollouts"
