"""Every environment renders, validates, and carries its release into every place that needs it."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.chassis.settings import ServiceSettings
from apps.collector.settings import CollectorSettings
from apps.console.settings import ConsoleSettings
from apps.decision.settings import DecisionSettings
from apps.forecast.settings import ForecastSettings
from scripts import render
from scripts.release_file import Release, edit, parse
from scripts.schemas import FOLDER, LOCATION
from tests.repository.imports import ROOT

ENVIRONMENTS = ("local", "staging", "production")
SETTINGS: dict[str, type[ServiceSettings]] = {
    "collector": CollectorSettings,
    "console": ConsoleSettings,
    "decision": DecisionSettings,
    "forecast": ForecastSettings,
}
# A commit of digits only, and one that YAML could take for a number with an exponent.
RELEASES = [
    Release(image_tag="0123456", model_version=12, model_sha256="5f0c" * 16),
    Release(image_tag="1e10", model_version=7, model_sha256="0" * 60 + "1e10"),
]

Manifest = dict[str, Any]


def documents(text: str) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(text) if document]


@cache
def rendered(environment: str) -> str:
    return render.build(ROOT / "environments" / environment)


def rendered_with(release: Release, environment: str, folder: Path) -> list[Manifest]:
    shutil.copytree(ROOT / "environments", folder / "environments", dirs_exist_ok=True)
    file = folder / "environments" / environment / "release.yaml"
    file.write_bytes(edit(file.read_bytes(), release))
    return documents(render.build(file.parent))


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest | None:
    return next(
        (each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)), None
    )


def at(manifest: Any, path: str) -> Any:
    """The value at a kustomize field path; `[name=x]` chooses from a list. None when the path leads nowhere."""
    for part in re.findall(r"\[[^\]]+\]|[^.\[\]]+", path):
        if part.startswith("["):
            key, _, value = part.strip("[]").partition("=")
            manifest = next((each for each in manifest or [] if each[key] == value), None)
        else:
            manifest = (manifest or {}).get(part)
    return manifest


def replacement_targets(component: str) -> list[tuple[str, Manifest, str]]:
    """(key of the release, target, field path) of every replacement in a component."""
    return [
        (replacement["source"]["fieldPath"].removeprefix("data."), target, path)
        for replacement in yaml.safe_load(component)["replacements"]
        for target in replacement["targets"]
        for path in target["fieldPaths"]
    ]


def missed(component: str, manifests: list[Manifest], release: Release) -> list[str]:
    """The targets that do not hold the release's value; kustomize itself says nothing of a target it cannot find."""
    wrong = []
    for key, target, path in replacement_targets(component):
        select = target["select"]
        found = at(named(manifests, select["kind"], select["name"]), path)
        if "options" in target:
            found = str(found).rpartition(target["options"]["delimiter"])[2]
        if found != str(getattr(release, key)):
            wrong.append(f"{select['name']} {path}: {found!r}")
    return wrong


COMPONENT = (ROOT / "environments/components/release/kustomization.yaml").read_text()


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.image_tag)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_replacement_reaches_its_target(environment: str, release: Release, tmp_path: Path) -> None:
    manifests = rendered_with(release, environment, tmp_path)
    assert len(replacement_targets(COMPONENT)) == 9
    assert missed(COMPONENT, manifests, release) == []
    assert named(manifests, "ConfigMap", "release") is None


def test_a_target_that_matches_nothing_is_found(tmp_path: Path) -> None:
    """The control of the test above: kustomize builds this without a word."""
    wrong = COMPONENT.replace("name: decision", "name: decisions")
    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    (tmp_path / "environments/components/release/kustomization.yaml").write_text(wrong)
    manifests = documents(render.build(tmp_path / "environments/local"))
    release = parse((tmp_path / "environments/local/release.yaml").read_bytes())
    assert [each.partition(" ")[0] for each in missed(wrong, manifests, release)] == ["decisions"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_container_of_ours_runs_the_released_image(environment: str, tmp_path: Path) -> None:
    images = [
        container["image"]
        for manifest in rendered_with(RELEASES[0], environment, tmp_path)
        if manifest["kind"] == "Deployment"
        for container in manifest["spec"]["template"]["spec"]["containers"]
    ]
    assert len(images) == len(SETTINGS)
    assert [image for image in images if not image.endswith(f":{RELEASES[0].image_tag}")] == []


def test_a_model_only_release_restarts_the_forecast_pods_and_nothing_else(tmp_path: Path) -> None:
    first = RELEASES[0]
    second = first.model_copy(update={"model_version": 13, "model_sha256": "a" * 64})
    before, after = (rendered_with(each, "staging", tmp_path / each.name) for each in (first, second))
    changed = [new["metadata"]["name"] for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["forecast"]


@pytest.mark.parametrize("folder", ["base", *(f"base/{name}" for name in (*SETTINGS, "network"))])
def test_the_base_is_valid_alone(folder: str) -> None:
    assert documents(render.build(ROOT / "environments" / folder))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("service", SETTINGS)
def test_variables_are_settings_and_what_has_no_default_is_set(environment: str, service: str) -> None:
    deployment = named(documents(rendered(environment)), "Deployment", service)
    assert deployment is not None
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    given = {each["name"] for each in container["env"]}
    prefix, fields = SETTINGS[service].model_config["env_prefix"], SETTINGS[service].model_fields
    known = {f"{prefix}{name}".upper(): field for name, field in fields.items()}
    assert given - set(known) == set()
    assert {name for name, field in known.items() if field.is_required()} - given == set()
    assert container["ports"][0]["containerPort"] == fields["port"].default


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_pods_are_restricted_and_stop_gracefully(environment: str) -> None:
    deployments = [each for each in documents(rendered(environment)) if each["kind"] == "Deployment"]
    for deployment in deployments:
        spec = deployment["spec"]["template"]["spec"]
        name = deployment["metadata"]["name"]
        (container,) = spec["containers"]
        assert "replicas" not in deployment["spec"], name
        assert deployment["spec"]["progressDeadlineSeconds"] == 120
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        settings = SETTINGS[name].model_fields
        stopping = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        stopping += settings["drain_seconds"].default + settings["stop_timeout_seconds"].default
        assert spec["terminationGracePeriodSeconds"] > stopping


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_service_has_its_whole_set_of_objects_in_its_namespace(environment: str) -> None:
    manifests = documents(rendered(environment))
    kinds = {
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "ServiceAccount",
    }
    for service in SETTINGS:
        assert {each["kind"] for each in manifests if each["metadata"]["name"] == service} == kinds
    assert {each["metadata"]["namespace"] for each in manifests} == {f"purchase-prediction-{environment}"}
    assert {each["metadata"]["labels"]["environment"] for each in manifests} == {environment}


def millicores(quantity: str) -> int:
    return int(quantity.removesuffix("m")) if quantity.endswith("m") else int(float(quantity) * 1000)


def test_staging_and_production_together_ask_for_at_most_one_core() -> None:
    asked = 0
    for environment in ("staging", "production"):
        manifests = documents(rendered(environment))
        for scaler in (each for each in manifests if each["kind"] == "HorizontalPodAutoscaler"):
            deployment = named(manifests, "Deployment", scaler["metadata"]["name"])
            assert deployment is not None
            (container,) = deployment["spec"]["template"]["spec"]["containers"]
            asked += scaler["spec"]["minReplicas"] * millicores(container["resources"]["requests"]["cpu"])
    assert 0 < asked <= 1000


# Who may open a connection to whom: (from, to, port). A namespace is written with a slash.
CONNECTIONS = {
    ("ingress/", "collector", 8000),
    ("ingress/", "forecast", 8001),
    ("ingress/", "decision", 8002),
    ("ingress/", "console", 8003),
    ("monitoring/", "collector", 8000),
    ("monitoring/", "forecast", 8001),
    ("monitoring/", "decision", 8002),
    ("monitoring/", "console", 8003),
    ("decision", "forecast", 8001),
    ("console", "forecast", 8001),
    ("console", "decision", 8002),
    ("console", "collector", 8000),
    *((service, "kube-system/kube-dns", 53) for service in SETTINGS),
}
ELSEWHERE = ("ingress/", "monitoring/", "kube-system/kube-dns", "kube-system/other", "strangers/")


def labels_of(place: str) -> tuple[str | None, dict[str, str]]:
    """Namespace (None: the environment's own) and pod labels of a place in the matrix."""
    namespace, slash, pod = place.partition("/")
    if not slash:
        return None, {"app.kubernetes.io/name": place}
    return namespace, {"k8s-app": pod} if pod else {}


def chosen(selector: Manifest | None, labels: dict[str, str]) -> bool:
    assert set(selector or {}) <= {"matchLabels"}
    return selector is not None and selector.get("matchLabels", {}).items() <= labels.items()


def peer_matches(peer: Manifest, place: str) -> bool:
    namespace, labels = labels_of(place)
    if "namespaceSelector" in peer:
        wanted = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        return wanted == namespace and chosen(peer.get("podSelector", {}), labels)
    return namespace is None and chosen(peer["podSelector"], labels)


def permitted(policies: list[Manifest], direction: str, pod: str, other: str, port: int) -> bool:
    """What a network plugin decides for one side of a connection; no policy for the pod means everything goes."""
    if labels_of(pod)[0] is not None:
        return True  # other namespaces have their own rules
    concerned = [
        each["spec"]
        for each in policies
        if chosen(each["spec"]["podSelector"], labels_of(pod)[1])
        and direction.capitalize() in each["spec"]["policyTypes"]
    ]
    rules = [rule for spec in concerned for rule in spec.get(direction, ())]
    end = "from" if direction == "ingress" else "to"
    return not concerned or any(
        any(peer_matches(peer, other) for peer in rule[end])
        and port in {each["port"] for each in rule["ports"]}
        for rule in rules
    )


def connections(policies: list[Manifest]) -> set[tuple[str, str, int]]:
    places = [*SETTINGS, *ELSEWHERE]
    return {
        (source, target, port)
        for source in places
        for target in places
        for port in (53, 8000, 8001, 8002, 8003, 9999)
        if source != target and not (labels_of(source)[0] and labels_of(target)[0])
        if permitted(policies, "egress", source, target, port)
        and permitted(policies, "ingress", target, source, port)
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_connections_are_those_of_the_matrix_and_no_other(environment: str) -> None:
    policies = [each for each in documents(rendered(environment)) if each["kind"] == "NetworkPolicy"]
    assert connections(policies) == CONNECTIONS


@pytest.mark.parametrize("name", ["default-deny", "names", *SETTINGS])
def test_without_any_one_policy_the_matrix_differs(name: str) -> None:
    """The control of the test above; `default-deny` shows on a pod that nobody thought of."""
    policies = [each for each in documents(rendered("production")) if each["kind"] == "NetworkPolicy"]
    rest = [each for each in policies if each["metadata"]["name"] != name]
    assert len(rest) == len(policies) - 1
    if name == "default-deny":
        assert not permitted(policies, "ingress", "newcomer", "strangers/", 80)
        assert permitted(rest, "ingress", "newcomer", "strangers/", 80)
    else:
        assert connections(rest) != CONNECTIONS


ARGO = sorted((ROOT / "argo").rglob("*.yaml"))


def argo(kind: str) -> dict[str, Manifest]:
    objects = [yaml.safe_load(path.read_text()) for path in ARGO]
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_an_environment_has_its_own_project_with_one_repository_one_namespace_and_its_kinds(
    environment: str,
) -> None:
    name = f"purchase-prediction-{environment}"
    project, application = argo("AppProject")[name]["spec"], argo("Application")[name]["spec"]
    assert project["sourceRepos"] == [application["source"]["repoURL"]]
    assert project["destinations"] == [application["destination"]]
    assert application["destination"]["namespace"] == name
    assert (application["project"], application["source"]["path"]) == (name, f"environments/{environment}")
    assert project["clusterResourceWhitelist"] == []
    used = {
        (each["apiVersion"].rpartition("/")[0], each["kind"]) for each in documents(rendered(environment))
    }
    assert {(each["group"], each["kind"]) for each in project["namespaceResourceWhitelist"]} == used


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_sync_is_one_wave_that_a_revert_never_waits_for(environment: str) -> None:
    sync = argo("Application")[f"purchase-prediction-{environment}"]["spec"]["syncPolicy"]
    assert sync["automated"] == {"prune": True, "selfHeal": True}
    assert sync["retry"]["refresh"] is True
    assert "syncOptions" not in sync
    for manifest in documents(rendered(environment)):
        assert not [key for key in manifest["metadata"].get("annotations", {}) if key.startswith("argocd.")]


def test_every_argo_object_reads_the_same_repository() -> None:
    texts = "".join(path.read_text() for path in ARGO)
    assert len(set(re.findall(r"https://\S+\.git", texts))) == 1


def kubeconform(text: str) -> subprocess.CompletedProcess[str]:
    tool = ROOT / ".bin" / "kubeconform"
    assert tool.is_file(), "run `make tools`"
    assert FOLDER.is_dir(), "run `make tools`"
    return subprocess.run(
        [str(tool), "-strict", "-summary", "-schema-location", f"{FOLDER}/{LOCATION}", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_object_follows_the_apis_schema(environment: str) -> None:
    done = kubeconform(rendered(environment))
    assert done.returncode == 0, done.stdout
    assert "Skipped: 0" in done.stdout


def test_every_argo_object_follows_its_schema() -> None:
    done = kubeconform("\n---\n".join(path.read_text() for path in ARGO))
    assert done.returncode == 0, done.stdout
    assert "Skipped: 0" in done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("maxUnavailable: 0", "maxUnavailabel: 0"),
        ("containerPort: 8001", "containerPort: http"),
        ("kind: NetworkPolicy", "kind: NetworkPolice"),
        ("runAsNonRoot: true", "runAsNonRoot: 'yes'"),
        ("scaleTargetRef:", "scaleTarget:"),
    ],
)
def test_an_object_against_its_schema_is_found(right: str, wrong: str) -> None:
    text = next(each for each in rendered("local").split("\n---\n") if right in each)
    assert kubeconform(text).returncode == 0
    assert kubeconform(text.replace(right, wrong)).returncode == 1
