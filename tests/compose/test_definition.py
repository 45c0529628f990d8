"""What compose.yaml says of each container, against the services' settings and the cluster's manifests."""

import copy
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.chassis.settings import BadSettings, ServiceSettings, read_settings
from apps.collector.settings import CollectorSettings
from apps.console.settings import ConsoleSettings
from apps.decision.settings import DecisionSettings
from apps.forecast.settings import ForecastSettings
from apps.oncall.settings import OncallSettings
from ml.settings import MlSettings
from scripts.compose import files
from scripts.compose.__main__ import Compose
from scripts.observability import probes
from scripts.observability.objectives import FILE as SLO
from scripts.observability.objectives import read
from scripts.release_file import Release, parse, path_of
from tests.compose.stack import definition, long_lived
from tests.repository.imports import ROOT

SETTINGS: dict[str, type[ServiceSettings]] = {
    "collector": CollectorSettings,
    "console": ConsoleSettings,
    "decision": DecisionSettings,
    "forecast": ForecastSettings,
    "oncall": OncallSettings,
}
PUBLISHED = {
    "collector": 8000,
    "forecast": 8001,
    "decision": 8002,
    "console": 8003,
    "oncall": 8004,
    "registry": 5000,
    "database": 5432,
    "prometheus": 9090,
    "alertmanager": 9093,
    "grafana": 3000,
}
RELEASE = Release(image_tag="0123456", model_version=12, model_sha256="5f0c" * 16)

Services = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that containers read."""
    folder = tmp_path_factory.mktemp("state")
    files.write(folder)
    return folder


def open_doors(services: Services) -> list[str]:
    """Services that are published to others, run as root, write where they need not, or never come back."""
    found = []
    for name, each in services.items():
        rules = {
            "published": [port.split(":")[0] for port in each["ports"]] == ["127.0.0.1"],
            "root": int(each["user"].split(":")[0]) > 0,
            "writes": each["read_only"] is True,
            "rights": each["cap_drop"] == ["ALL"] and "no-new-privileges:true" in each["security_opt"],
            "restart": each["restart"] == "unless-stopped",
            "limits": bool(each.get("mem_limit") and each.get("cpus") and each.get("pids_limit")),
            "health": bool(each.get("healthcheck", {}).get("test")),
        }
        found += [f"{name}: {rule}" for rule, held in rules.items() if not held]
    return found


def test_the_services_are_those_that_were_asked_for_on_their_ports() -> None:
    ports = {name: int(each["ports"][0].rpartition(":")[2]) for name, each in long_lived().items()}
    defaults = {
        name: int(re.findall(r":-(\d+)\}", each["ports"][0])[0]) for name, each in long_lived().items()
    }
    assert ports == defaults == PUBLISHED


def test_no_door_is_open() -> None:
    assert open_doors(long_lived()) == []


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("published", {"ports": ["8000:8000"]}),
        ("root", {"user": "0:0"}),
        ("writes", {"read_only": False}),
        ("rights", {"cap_drop": []}),
        ("restart", {"restart": "no"}),
        ("limits", {"mem_limit": None}),
        ("health", {"healthcheck": {}}),
    ],
)
def test_each_open_door_is_seen(rule: str, change: dict[str, Any]) -> None:
    services = copy.deepcopy(long_lived())
    services["decision"].update(change)
    assert open_doors(services) == [f"decision: {rule}"]


@pytest.mark.parametrize("service", SETTINGS)
def test_a_service_starts_with_what_it_is_given(
    service: str, state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _given(service, state, monkeypatch, tmp_path)
    settings = read_settings(SETTINGS[service])
    assert settings.port == PUBLISHED[service]
    prefix = f"{service.upper()}_"
    named = [name.removeprefix(prefix).lower() for name in _variables(service) if name.startswith(prefix)]
    assert set(named) <= SETTINGS[service].model_fields.keys()
    secrets = [name for name in long_lived()[service].get("secrets", []) if name.startswith(prefix.lower())]
    assert {name.removeprefix(prefix.lower()) for name in secrets} - {"users", "keys", "password"} <= set(
        SETTINGS[service].model_fields
    )


@pytest.mark.parametrize(
    ("service", "secret"), [("collector", "collector_api_key"), ("oncall", "oncall_alert_token")]
)
def test_a_service_without_its_secret_does_not_start(
    service: str, secret: str, state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _given(service, state, monkeypatch, tmp_path)
    (tmp_path / secret).unlink()
    with pytest.raises(BadSettings, match=r"API_KEY|ALERT_TOKEN"):
        read_settings(SETTINGS[service])


def test_commands_know_every_variable_that_they_are_given() -> None:
    named = {name.removeprefix("ML_").lower() for name in _variables("training") if name.startswith("ML_")}
    assert named
    assert named <= MlSettings.model_fields.keys()


def test_the_release_reaches_image_and_model(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = Compose(RELEASE, {}).variables
    assert (variables["IMAGE_TAG"], variables["MODEL_VERSION"], variables["MODEL_SHA256"]) == (
        RELEASE.image_tag,
        "12",
        RELEASE.model_sha256,
    )
    ours = [each["image"] for each in definition()["services"].values() if "IMAGES" in each["image"]]
    assert len(ours) == 8
    assert {image.rpartition("/")[2].partition(":")[2] for image in ours} == {"${IMAGE_TAG:?}"}
    assert parse((ROOT / path_of(files.ENVIRONMENT)).read_bytes()).has_model is False


@pytest.mark.parametrize("service", sorted(SETTINGS))
def test_limits_are_those_of_the_cluster(service: str) -> None:
    manifest = yaml.safe_load((ROOT / f"environments/base/{service}/deployment.yaml").read_text())
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    here, there = definition()["services"][service], container["resources"]["limits"]
    assert here["mem_limit"].removesuffix("m") == there["memory"].removesuffix("Mi")
    assert str(here["cpus"]) == there["cpu"]


def test_what_others_publish_is_pinned_by_version_and_digest() -> None:
    images = [each["image"] for each in definition()["services"].values() if "IMAGES" not in each["image"]]
    assert len(images) == 4
    assert [
        image for image in images if not re.search(r":v?\d+\.\d+[.\d]*@sha256:[0-9a-f]{64}$", image)
    ] == []


def test_every_secret_is_made_once_and_only_containers_read_it(tmp_path: Path) -> None:
    files.write(tmp_path)
    folder = tmp_path / "secrets"
    made = {path.name: path.read_text() for path in folder.iterdir()}
    wanted = {each["file"].rpartition("/")[2] for each in definition()["secrets"].values()}
    assert made.keys() == wanted | {"console_password"}
    assert len(set(made.values())) == len(made)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "console_password").stat().st_mode) == 0o400
    files.write(tmp_path)
    assert {path.name: path.read_text() for path in folder.iterdir()} == made


def test_the_console_may_do_at_on_call_what_its_buttons_say(state: Path) -> None:
    (line,) = (state / "secrets" / "oncall_keys").read_text().splitlines()
    assert json.loads(line)["roles"] == ["controller"]


def test_prometheus_gives_services_the_labels_that_the_rules_group_by(state: Path) -> None:
    slo = read(SLO.read_text())
    jobs = yaml.safe_load((state / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    scraped, probed = ({each["targets"][0]: each["labels"] for each in job["static_configs"]} for job in jobs)
    assert set(scraped) == {f"{name}:{PUBLISHED[name]}" for name in SETTINGS}
    in_cluster = probes.targets(slo)[0]["labels"].keys()
    for address, labels in scraped.items():
        assert in_cluster <= labels.keys()
        assert labels["app_kubernetes_io_name"] == address.partition(":")[0]
    assert probed == scraped


def test_what_must_be_there_is_asked_for_in_the_one_environment_that_there_is(state: Path) -> None:
    cluster = (ROOT / "environments/base/observability/rules.yaml").read_text()
    here = (state / "prometheus" / "rules.yml").read_text()
    named = re.compile(r'namespace="purchase-prediction-(\w+)"')
    assert set(named.findall(cluster)) == {"staging", "production", "platform"}
    assert set(named.findall(here)) & {"staging", "production"} == set()
    assert "local" in named.findall(here)


def test_alertmanager_tells_on_call_by_the_name_and_token_of_the_cluster() -> None:
    text = (ROOT / "environments/base/observability/alertmanager.yaml").read_text()
    services = long_lived()
    names = set(re.findall(r"url: http://([^:/]+):8004/", text))
    assert names == set(services["oncall"]["networks"]["default"]["aliases"])
    (token,) = services["alertmanager"]["secrets"]
    assert set(re.findall(r"credentials_file: (\S+)", text)) == {token["target"]}
    assert token["source"] in services["oncall"]["secrets"]


def test_grafana_shows_the_dashboards_of_the_cluster_from_this_prometheus() -> None:
    mounts = dict(
        each.removesuffix(":ro").split(":") for each in long_lived()["grafana"]["volumes"] if each[0] == "."
    )
    base = ROOT / "environments" / "local"
    folders = {inside: (base / outside).resolve() for outside, inside in mounts.items()}
    provisioning = folders["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "files.yaml").read_text())["providers"]
    assert len(list(folders[provider["options"]["path"]].glob("*.json"))) == 5
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["url"] == f"http://prometheus:{PUBLISHED['prometheus']}"


def _variables(service: str) -> dict[str, str]:
    """The environment of a container, with this release and without Compose's defaults."""
    release = {name.upper(): str(value) for name, value in RELEASE.model_dump().items()}

    def value(match: re.Match[str]) -> str:
        return release.get(match["name"], match["default"] or "")

    given = definition()["services"][service]["environment"]
    return {
        name: re.sub(r"\$\{(?P<name>\w+):[-?](?P<default>[^}]*)\}", value, str(text))
        for name, text in given.items()
    }


def _given(service: str, state: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The environment of a container, its secrets in a folder."""
    at: Callable[[str], str] = lambda text: text.replace("/run/secrets", str(folder))  # noqa: E731
    for name, text in _variables(service).items():
        monkeypatch.setenv(name, at(text))
    for name in long_lived()[service].get("secrets", []):
        (folder / name).write_text((state / "secrets" / name).read_text())
