"""A candidate beside the forecast pods: as they are but for its release, and reached by them alone."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from scripts.manifests import render
from scripts.release_file import Release, edit
from scripts.running.confirm import RELEASE_ANNOTATION
from tests.environments import connections
from tests.environments.kubeconform import faults
from tests.environments.network_policies import Connection, End, Network
from tests.environments.rendered import Manifest, documents, named, of_kind
from tests.environments.rollouts import RELEASE
from tests.environments.test_rollouts import refused, with_platform_line
from tests.repository.imports import ROOT
from tests.repository.test_environments import component, missed, replacement_targets

CANDIDATE = Release(image_tag="1e10", model_version=13, model_sha256="a" * 64)
OUR_LINE, FILE_LINE = "  - ../components/release\n", "  - release.yaml\n"


@cache
def text(shadow: str = "") -> str:
    """Production with a release, a candidate and the component; `shadow` replaces the component's own file."""
    with TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "environments", Path(folder, "environments"))
        overlay = Path(folder, "environments", "production")
        if shadow:
            (overlay.parent / "components/shadow/kustomization.yaml").write_text(shadow)
        release = (overlay / "release.yaml").read_bytes()
        (overlay / "release.yaml").write_bytes(edit(release, RELEASE))
        candidate = edit(release, CANDIDATE).replace(b"name: release", b"name: candidate")
        (overlay / "candidate.yaml").write_bytes(candidate)
        file = overlay / "kustomization.yaml"
        lines = file.read_text()
        assert OUR_LINE in lines
        lines = lines.replace(FILE_LINE, f"{FILE_LINE}  - candidate.yaml\n")
        file.write_text(lines.replace(OUR_LINE, f"{OUR_LINE}  - ../components/shadow\n"))
        return render.build(overlay)


def found() -> list[Manifest]:
    return documents(text())


def pod(name: str) -> Manifest:
    template: Manifest = named(found(), "Deployment", name)["spec"]["template"]
    return template


def test_it_runs_the_candidate_and_the_others_run_the_release() -> None:
    assert len(replacement_targets(component("shadow"))) == 6
    assert missed(component("shadow"), found(), CANDIDATE) == []
    assert missed(component("release"), found(), RELEASE) == []
    assert of_kind(found(), "ConfigMap") == []


@pytest.mark.parametrize("wrong", ["name: shadow-forecast", "name: forecast-shado"])
def test_a_target_that_matches_nothing_is_found(wrong: str) -> None:
    changed = component("shadow").replace("name: forecast-shadow", wrong)
    assert missed(component("shadow"), documents(text(changed)), CANDIDATE) != []


def test_its_pods_are_the_forecast_pods_but_for_the_release_and_who_mirrors() -> None:
    own, shadow = (pod(name)["spec"] for name in ("forecast", "forecast-shadow"))
    (serves,), (follows,) = own.pop("containers"), shadow.pop("containers")
    assert own == shadow
    given, copied = ({each["name"]: each for each in c.pop("env")} for c in (serves, follows))
    mirrors = given.pop("FORECAST_SHADOW_URL")
    assert mirrors["value"] == "http://forecast-shadow:8001"
    assert given.pop("FORECAST_SERVED_STORE"), "who answers nobody counts nothing as served"
    differing = {name for name in given if given[name] != copied[name]}
    assert given.keys() == copied.keys()
    assert differing == {"FORECAST_IMAGE_TAG", "FORECAST_MODEL_VERSION", "FORECAST_MODEL_SHA256"}
    assert serves.pop("image").rpartition(":")[0] == follows.pop("image").rpartition(":")[0]
    resources = serves.pop("resources"), follows.pop("resources")
    assert resources[0] != resources[1], "an overlay's patch is for the pods that serve"
    assert serves == follows


def test_no_caller_reaches_it_and_the_release_does_not_count_it() -> None:
    service = named(found(), "Service", "forecast")["spec"]["selector"]
    labels = pod("forecast-shadow")["metadata"]["labels"]
    assert any(labels.get(key) != value for key, value in service.items())
    annotations = named(found(), "Deployment", "forecast-shadow")["metadata"]["annotations"]
    assert annotations[RELEASE_ANNOTATION] == "candidate"
    with TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "environments", Path(folder, "environments"))
        overlay = Path(folder, "environments", "platform")
        platform = documents(with_platform_line(overlay, "shadow/model-store"))
    policies = of_kind([*found(), *platform], "NetworkPolicy")
    network = Network(policies, connections.namespaces())
    place = "purchase-prediction-production"
    shadow = End("production/forecast-shadow", "10.244.9.9", place, labels, {"http": 8001})
    callers = {
        name
        for name, end in connections.ends().items()
        if network.allows(Connection(end, shadow, 8001, "TCP"))
    }
    assert callers == {"production/forecast", "monitoring/prometheus", "api-server"}
    reached = {
        (name, port)
        for name, end in connections.ends().items()
        for port in (53, 443, 5000, 5432, 8001, 8333)
        if network.allows(Connection(shadow, end, port, "TCP"))
    }
    assert reached == {("platform/model-store", 8333), ("kube-system/kube-dns", 53)}


def test_it_follows_its_schemas_and_the_policies() -> None:
    assert faults(text()) == ""
    assert refused(found()) == []
    without_a_model = list(yaml.safe_load_all(text().replace('"13"', '"0"')))
    assert refused(without_a_model) == ["forecast-shadow"]
