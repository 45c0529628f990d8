"""The samples notice it when a part of a rule is missing."""

import copy
from typing import Any

import pytest

from tests.policies.judge import namespaces, verdicts
from tests.policies.samples import Rule, policies, rules


@pytest.mark.parametrize("rule", rules(), ids=str)
def test_without_a_validation_exactly_its_samples_pass(rule: Rule) -> None:
    """Every denied sample needs one validation, and every validation is needed by a sample."""
    variants = [_without(rule, index) for index in range(len(rule.validations))]
    installed = [document for variant in variants for document in variant]
    said = verdicts([*installed, *namespaces()], [sample.review for sample in rule.denied])
    names = {policy["metadata"]["name"] for policy, _ in variants}
    found_by = {
        sample.name: names - set(refusals) for sample, refusals in zip(rule.denied, said, strict=True)
    }
    assert {sample: len(passes) for sample, passes in found_by.items()} == dict.fromkeys(found_by, 1)
    assert set().union(*found_by.values()) == names


def test_outside_the_environments_nothing_is_refused() -> None:
    """The bindings choose namespaces by their label, so without labels every denied sample passes."""
    denied = [sample for rule in rules() if rule.name != "environment-namespaces" for sample in rule.denied]
    said = verdicts([*policies(), *namespaces(labelled=False)], [sample.review for sample in denied])
    assert [refusals for refusals in said if refusals] == []


def test_without_rules_nothing_is_refused() -> None:
    denied = [sample.review for rule in rules() for sample in rule.denied]
    assert verdicts(namespaces(), denied) == [{}] * len(denied)


def test_an_expression_that_cannot_be_evaluated_refuses() -> None:
    rule = next(rule for rule in rules() if rule.name == "probes")
    broken: dict[str, Any] = copy.deepcopy(rule.policy)
    broken["spec"]["validations"] = [{"expression": "variables.pod.spec.misspelt"}]
    said = verdicts([broken, rule.binding, *namespaces()], [sample.review for sample in rule.allowed[:1]])
    assert list(said[0]) == [rule.policy["metadata"]["name"]]


def test_a_binding_that_only_audits_lets_hands_in() -> None:
    rule = next(rule for rule in rules() if rule.name == "production-writers")
    open_door = copy.deepcopy(rule.binding)
    open_door["spec"]["validationActions"] = ["Audit"]
    said = verdicts([rule.policy, open_door, *namespaces()], [sample.review for sample in rule.denied])
    assert said == [{}] * len(rule.denied)


@pytest.mark.parametrize("name", ["pod", "containers"])
def test_what_rules_share_says_the_same_in_each(name: str) -> None:
    """Policies cannot import from one another; where a part stands in several, it is one text."""
    said = [
        variable["expression"]
        for rule in rules()
        for variable in rule.policy["spec"]["variables"]
        if variable["name"] == name
    ]
    assert len(said) > 1
    assert len(set(said)) == 1


def test_rules_on_pods_match_under_the_same_conditions() -> None:
    on_pods = [rule for rule in rules() if any(v["name"] == "pod" for v in rule.policy["spec"]["variables"])]
    assert len(on_pods) == len(rules()) - 2
    for rule in on_pods:
        assert rule.policy["spec"]["matchConditions"] == on_pods[0].policy["spec"]["matchConditions"]
        assert rule.binding["spec"]["matchResources"] == on_pods[0].binding["spec"]["matchResources"]


def _without(rule: Rule, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rule under a name of its own, without one of its validations."""
    policy, binding = copy.deepcopy(rule.policy), copy.deepcopy(rule.binding)
    name = f"{policy['metadata']['name']}.without-{index}"
    policy["metadata"]["name"] = binding["metadata"]["name"] = binding["spec"]["policyName"] = name
    del policy["spec"]["validations"][index]
    return policy, binding
