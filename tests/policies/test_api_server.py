"""A real API server says to every sample what the offline judge says."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

from tests.policies import api_server
from tests.policies.api_server import AUTHORIZED, kubectl, refusal, send, wait_until
from tests.policies.judge import PRODUCTION, STAGING, SYNC, Document, namespaces, review_of, verdicts
from tests.policies.manifests import manifests
from tests.policies.mutants import dropped, opened
from tests.policies.samples import Rule, policies, rules

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def environments() -> Iterator[None]:
    """Both namespaces, removed afterwards with what the tests left in them."""
    ours = [namespace for namespace in namespaces() if namespace["metadata"]["name"] != "default"]
    kubectl("create", "-f", "-", given=[*ours, _authorization()])
    try:
        for name in (STAGING, PRODUCTION):
            wait_until(partial(_exists, "serviceaccount/default", name), f"service account of {name}")
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "-f", "-", given=[*policies(), _authorization()])
        for name in (STAGING, PRODUCTION):
            pods = kubectl("-n", name, "get", "pods", "-o", "name")[0].split()
            for pod in pods:
                kubectl(
                    "-n",
                    name,
                    "patch",
                    pod,
                    "--type=merge",
                    '-p={"metadata":{"finalizers":null}}',
                    may_fail=True,
                )
            kubectl("-n", name, "delete", "pods", "--all", "--force", "--grace-period=0")
        kubectl("delete", "--ignore-not-found", "-f", "-", given=ours)


@pytest.mark.parametrize("name", ["complete", "production"])
def test_the_api_server_agrees_on_manifests_and_their_mutants(name: str, environments: None) -> None:
    """With all rules in force it accepts what the offline judge accepts, and nothing else."""
    mutants = [mutant.document for mutant in (*dropped(manifests(name)), *opened(manifests(name)))]
    reviews = [review_of(document, SYNC) for document in (*manifests(name), *mutants)]
    offline = [not refusals for refusals in verdicts([*policies(), *namespaces()], reviews)]
    with in_force(policies(), _one_for_each_policy(reviews)), ThreadPoolExecutor(2) as pool:
        server = list(pool.map(lambda review: send(review["request"]) == "", reviews))
    assert [
        review["request"]["object"] for review, a, b in zip(reviews, offline, server, strict=True) if a != b
    ] == []


@pytest.fixture(scope="module", params=rules(), ids=str)
def rule(request: pytest.FixtureRequest, environments: None) -> Iterator[Rule]:
    """One rule alone in force, and what its samples change or delete."""
    rule: Rule = request.param
    for old_object in _old_objects(rule):
        api_server.create(*old_object)
    with in_force([rule.policy, rule.binding], [rule.denied[0].review]):
        yield rule


def test_the_api_server_and_the_offline_judge_agree_on_every_sample(rule: Rule) -> None:
    samples = [*rule.denied, *rule.allowed]
    offline = verdicts([rule.policy, rule.binding, *namespaces()], [sample.review for sample in samples])
    server = {sample.name: refusal(sample.review) for sample in samples}
    assert server == {
        sample.name: next(((policy, messages[0]) for policy, messages in verdict.items()), None)
        for sample, verdict in zip(samples, offline, strict=True)
    }


def test_the_api_server_finds_no_fault_in_an_expression(rule: Rule) -> None:
    """It checks the types of every expression against the kinds that the policy matches."""
    name = rule.policy["metadata"]["name"]

    def status() -> Document:
        found = json.loads(kubectl("get", "validatingadmissionpolicy", name, "-o", "json")[0])
        return dict(found.get("status", {}))

    wait_until(lambda: "observedGeneration" in status(), f"{rule} checked")
    assert status().get("typeChecking", {}).get("expressionWarnings", []) == []


@contextmanager
def in_force(installed: list[Document], refused: list[Document]) -> Iterator[None]:
    """These policies, from when every one of `refused` is refused until every one passes again."""
    kubectl("apply", "-f", "-", given=installed)
    try:
        wait_until(lambda: all(map(refusal, refused)), "policies in force")
        yield
    finally:
        kubectl("delete", "-f", "-", given=installed)
    wait_until(lambda: not any(map(refusal, refused)), "policies out of force")


def _one_for_each_policy(reviews: Iterable[Document]) -> list[Document]:
    """For each policy a request that it alone refuses and that the server accepts without it.

    Policies take effect one after the other, so a refusal by one says nothing of the others.
    """
    samples = [sample.review for rule in rules() for sample in rule.denied]
    requests = [*filter(_needs_nothing, samples), *reviews]
    refusals = verdicts([*policies(), *namespaces()], requests)
    found: dict[str, Document] = {}
    for review, refused in zip(requests, refusals, strict=True):
        policy = next(iter(refused), "")
        if len(refused) == 1 and policy not in found and send(review["request"]) == "":
            found[policy] = review
    assert sorted(found) == sorted(rule.policy["metadata"]["name"] for rule in rules())
    return list(found.values())


def _needs_nothing(review: Document) -> bool:
    """Whether a request can be sent without an object made for it."""
    request = review["request"]
    return bool(request["operation"] == "CREATE" or request["kind"]["kind"] == "Namespace")


def _old_objects(rule: Rule) -> list[tuple[Document, Document]]:
    """Each once, with a request about it; a scale comes with its workload and namespaces are there already."""
    found: dict[str, tuple[Document, Document]] = {}
    for sample in (*rule.allowed, *rule.denied):
        old = sample.review["request"].get("oldObject")
        if old and old["kind"] not in {"Namespace", "Scale"}:
            found.setdefault(f"{old['kind']} {old['metadata']}", (old, sample.review))
    return list(found.values())


def _exists(what: str, namespace: str) -> bool:
    return kubectl("-n", namespace, "get", what, may_fail=True)[1] == ""


def _authorization() -> Document:
    """Whoever samples name may do anything, so that only admission refuses."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": AUTHORIZED},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": AUTHORIZED}],
    }
