"""An overlay that takes components/aws reads models from Amazon's S3 without any key."""

import json
import shutil
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from scripts.manifests import render
from tests.environments.rendered import Manifest, documents, manifests, named
from tests.environments.test_platform import identities
from tests.repository.imports import ROOT
from tests.terraform.root import FOLDER, parsed


@pytest.fixture
def found(tmp_path: Path) -> list[Manifest]:
    return with_component("aws", "staging", tmp_path)


def with_component(name: str, overlay: str, folder: Path) -> list[Manifest]:
    """What an overlay renders to when it takes one component more."""
    shutil.copytree(ROOT / "environments", folder / "environments")
    file = folder / "environments" / overlay / "kustomization.yaml"
    loaded = yaml.safe_load(file.read_text())
    loaded["components"].append(f"../components/{name}")
    file.write_text(yaml.safe_dump(loaded))
    return documents(render.build(file.parent))


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
    others = named(manifests("staging"), "NetworkPolicy", "forecast")["spec"]["egress"]
    assert [rule for rule in others if rule in rules] == [rule for rule in others if "8333" not in str(rule)]


@pytest.mark.parametrize(
    ("overlay", "pod", "reached"),
    [
        ("production", "collector", {"database", "rates"}),
        ("production", "forecast", {"rates"}),
        ("production", "decision", {"rates"}),
        ("production", "console", set()),
        ("platform", "oncall", {"database"}),
        ("platform", "registry", {"database", "s3"}),
        ("platform", "workflows", {"database", "s3"}),
        ("platform", "model-store", set()),
    ],
)
def test_pods_reach_the_services_of_amazon_that_they_use(
    overlay: str, pod: str, reached: set[str], tmp_path: Path
) -> None:
    here, wanted = manifests(overlay), with_component("aws-network", overlay, tmp_path)
    added = [each for each in wanted if each not in here]
    assert [each for each in here if each not in wanted] == []
    rules = [rule for each in added if selects(each, pod) for rule in each["spec"]["egress"]]
    network = ip_network(parsed((FOLDER / "production.tfvars").read_text())["network"])
    data = [network[(128 + zone) * 256 + 10] for zone in (0, 1)]  # cidrsubnet(network, 8, zone + 128)
    nodes = network[16 * 256 + 10]  # cidrsubnet(network, 4, 1)
    for address in map(str, data):
        assert open_to(rules, address, 5432) == ("database" in reached)
        assert open_to(rules, address, 6379) == ("rates" in reached)
    assert not open_to(rules, str(nodes), 5432)
    assert open_to(rules, "52.218.0.1", 443) == open_to(rules, "169.254.170.23", 80) == ("s3" in reached)
    assert not open_to(rules, "169.254.169.254", 80)


def selects(policy: Manifest, pod: str) -> bool:
    """Whether a policy is about a pod, by the one expression on its name."""
    (expression,) = policy["spec"]["podSelector"]["matchExpressions"]
    assert (expression["key"], expression["operator"]) == ("app.kubernetes.io/name", "In")
    return pod in expression["values"]


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_role_may_do_what_the_account_of_the_platforms_own_store_may(environment: str) -> None:
    """The session tag is the pod's namespace, so that one role serves both and each writes its own counts."""
    actions = identities()[environment]
    renamed = {"s3:ListBucket": "List", "s3:GetObject": "Read", "s3:PutObject": "Write"}
    granted = set()
    policy = json.loads((ROOT / "environments/components/aws/role-policy.json").read_text())
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        places = statement["Resource"]
        for place in [places] if isinstance(places, str) else places:
            own = place.removeprefix("arn:aws:s3:::SHOP-").replace(
                "${aws:PrincipalTag/kubernetes-namespace}", environment
            )
            granted.add(f"{renamed[statement['Action']]}:{own}")
    assert granted == set(actions)


def open_to(rules: list[Manifest], address: str, port: int) -> bool:
    return any(
        ip_address(address) in ip_network(peer["ipBlock"]["cidr"])
        and not any(ip_address(address) in ip_network(each) for each in peer["ipBlock"].get("except", ()))
        and {"port": port} in rule["ports"]
        for rule in rules
        for peer in rule["to"]
        if "ipBlock" in peer
    )
