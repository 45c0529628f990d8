"""Each rule lets its allowed samples pass and refuses each denied one with the words that stand on it."""

import pytest
import yaml

from scripts.promotion.opening import MUTABLE_TAGS
from tests.policies.judge import namespaces, review_of, verdicts
from tests.policies.samples import POLICIES, Rule, Sample, policies, rules

DENIED = [sample for rule in rules() for sample in rule.denied]
ALLOWED = [sample for rule in rules() for sample in rule.allowed]
SAMPLES = DENIED + ALLOWED


@pytest.fixture(scope="module")
def refusals() -> dict[tuple[str, str], list[str]]:
    """What a sample's own rule says against it."""
    said = verdicts([*policies(), *namespaces()], [sample.review for sample in SAMPLES])
    return {
        (sample.rule, sample.name): verdict.get(f"{sample.rule}.purchase-prediction.example", [])
        for sample, verdict in zip(SAMPLES, said, strict=True)
    }


@pytest.mark.parametrize("sample", DENIED, ids=str)
def test_a_denied_sample_is_refused_by_its_rule_for_its_one_fault(
    sample: Sample, refusals: dict[tuple[str, str], list[str]]
) -> None:
    assert refusals[sample.rule, sample.name] == [sample.refused]


@pytest.mark.parametrize("sample", ALLOWED, ids=str)
def test_an_allowed_sample_passes(sample: Sample, refusals: dict[tuple[str, str], list[str]]) -> None:
    assert sample.refused is None
    assert refusals[sample.rule, sample.name] == []


def test_there_are_at_least_80_bad_manifests_and_no_name_twice() -> None:
    assert len(DENIED) >= 80
    assert len({str(sample) for sample in SAMPLES}) == len(SAMPLES)


@pytest.mark.parametrize("rule", rules(), ids=str)
def test_a_rule_has_a_denied_sample_for_every_resource_it_matches(rule: Rule) -> None:
    matched = {
        (group, resource)
        for match in rule.policy["spec"]["matchConstraints"]["resourceRules"]
        for group in match["apiGroups"]
        for resource in match["resources"]
    }
    assert {_resource(sample) for sample in rule.denied} == matched


@pytest.mark.parametrize("rule", rules(), ids=str)
def test_a_rule_denies_and_fails_closed(rule: Rule) -> None:
    name = f"{rule.name}.purchase-prediction.example"
    assert rule.policy["metadata"]["name"] == rule.binding["metadata"]["name"] == name
    assert rule.policy["spec"]["failurePolicy"] == "Fail"
    assert rule.binding["spec"]["policyName"] == name
    assert rule.binding["spec"]["validationActions"] == ["Deny"]


def test_a_tag_that_no_promotion_writes_is_refused_here_too() -> None:
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": tag},
            "spec": {"containers": [{"name": "x", "image": f"localhost:5001/decision:{tag}"}]},
        }
        for tag in MUTABLE_TAGS
    ]
    said = verdicts([*policies(), *namespaces()], [review_of(pod) for pod in pods])
    assert all("images.purchase-prediction.example" in refusals for refusals in said)


def test_the_kustomization_installs_every_rule() -> None:
    listed = yaml.safe_load((POLICIES / "kustomization.yaml").read_text())["resources"]
    assert listed == [f"{rule.name}/admission.yaml" for rule in rules()]


def _resource(sample: Sample) -> tuple[str, str]:
    request = sample.review["request"]
    subresource = request.get("subResource")
    resource = request["resource"]
    return resource["group"], resource["resource"] + (f"/{subresource}" if subresource else "")
