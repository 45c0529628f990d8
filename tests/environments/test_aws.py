"""An overlay that takes components/aws reads models from Amazon's S3 without any key."""

import shutil
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from scripts.manifests import render
from tests.environments.rendered import Manifest, documents, manifests, named
from tests.repository.imports import ROOT


@pytest.fixture
def found(tmp_path: Path) -> list[Manifest]:
    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    overlay = tmp_path / "environments" / "staging" / "kustomization.yaml"
    loaded = yaml.safe_load(overlay.read_text())
    loaded["components"].append("../components/aws")
    overlay.write_text(yaml.safe_dump(loaded))
    return documents(render.build(overlay.parent))


def test_only_the_forecast_differs_and_has_no_key(found: list[Manifest]) -> None:
    changed = [new for old, new in zip(manifests("staging"), found, strict=True) if old != new]
    assert {(each["kind"], each["metadata"]["name"]) for each in changed} == {
        ("Deployment", "forecast"),
        ("NetworkPolicy", "forecast"),
    }
    (container,) = named(found, "Deployment", "forecast")["spec"]["template"]["spec"]["containers"]
    names = {each["name"] for each in container["env"]}
    assert {name for name in names if name.startswith("AWS_")} == {"AWS_REGION"}
    assert "FORECAST_MODEL_STORE" in names


def test_it_reaches_the_world_and_the_agent_of_pod_identity_and_not_the_nodes_role(
    found: list[Manifest],
) -> None:
    rules = named(found, "NetworkPolicy", "forecast")["spec"]["egress"]
    assert open_to(rules, "52.218.0.1", 443)
    assert open_to(rules, "169.254.170.23", 80)
    assert not open_to(rules, "169.254.169.254", 80)  # the node's metadata, and with it the node's role
    assert not open_to(rules, "10.0.0.1", 443)


def open_to(rules: list[Manifest], address: str, port: int) -> bool:
    return any(
        ip_address(address) in ip_network(peer["ipBlock"]["cidr"])
        and not any(ip_address(address) in ip_network(each) for each in peer["ipBlock"].get("except", ()))
        and {"port": port} in rule["ports"]
        for rule in rules
        for peer in rule["to"]
    )
