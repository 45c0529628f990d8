"""Which token of GitHub may take which role: exactly the workflows of our repository, each the one of its job."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.repository.imports import ROOT
from tests.repository.workflows import WORKFLOWS, load
from tests.terraform.iam import Context, Request, allows
from tests.terraform.mutants import Policy, mutants
from tests.terraform.root import PROVIDER, roles

CI = ("images", "promotion", "promotion-check")
MAIN, MERGE = "refs/heads/main", "refs/pull/7/merge"


@dataclass(frozen=True)
class Token:
    """The claims of a job's token that AWS looks at; `without` are claims that it does not have."""

    job: str
    ref: str = MAIN
    owner: str = "shop"
    owner_id: str = "1234567"
    repository: str = "purchase-prediction"
    repository_id: str = "987654321"
    aud: str = "sts.amazonaws.com"
    without: str = ""
    immutable: bool = False
    subject: str | None = field(default=None)

    @property
    def sub(self) -> str:
        old = f"repo:{self.owner}/{self.repository}:{self.job}"
        new = f"repo:{self.owner}@{self.owner_id}/{self.repository}@{self.repository_id}:{self.job}"
        return self.subject or (new if self.immutable else old)

    @property
    def context(self) -> Context:
        claims = {"aud": self.aud, "sub": self.sub, "ref": self.ref, "repository_id": self.repository_id}
        kept = {name: value for name, value in claims.items() if name != self.without}
        return {f"token.actions.githubusercontent.com:{name}": value for name, value in kept.items()}


IMAGES, PROMOTION = Token("environment:images"), Token("environment:promotion")
PULL, PRODUCTION = Token("pull_request", MERGE), Token("environment:production", MERGE)
FORK: dict[str, Any] = {"owner": "stranger", "owner_id": "66", "repository_id": "666"}

TOKENS: dict[str, tuple[Token, set[str]]] = {
    "images of main": (IMAGES, {"images"}),
    "promotion of main": (PROMOTION, {"promotion"}),
    "a pull request": (PULL, {"promotion-check"}),
    "production, released by a reviewer": (PRODUCTION, {"promotion-check"}),
    "images of a branch": (replace(IMAGES, ref="refs/heads/feature"), set()),
    "images of a tag": (replace(IMAGES, ref="refs/tags/v1"), set()),
    "images of a pull request": (replace(IMAGES, ref=MERGE), set()),
    "promotion of a branch": (replace(PROMOTION, ref="refs/heads/feature"), set()),
    "promotion of a tag": (replace(PROMOTION, ref="refs/tags/main"), set()),
    "promotion of a pull request": (replace(PROMOTION, ref=MERGE), set()),
    "main without an environment": (Token("ref:refs/heads/main"), set()),
    "a tag without an environment": (Token("ref:refs/tags/v1", "refs/tags/v1"), set()),
    "another environment": (Token("environment:staging"), set()),
    "an environment with a longer name": (Token("environment:images-2"), set()),
    "a check with a longer name": (Token("pull_request_target", MERGE), set()),
    "an environment in capitals": (Token("environment:Images"), set()),
    "an environment named like two": (Token("environment:x:environment:images"), set()),
    "an environment with a claim after it": (Token("environment:production:ref:refs/heads/x", MERGE), set()),
    "a fork's images": (replace(IMAGES, **FORK), set()),
    "a fork's promotion": (replace(PROMOTION, **FORK), set()),
    "a fork's pull request to itself": (replace(PULL, **FORK), set()),
    "a fork's production": (replace(PRODUCTION, **FORK), set()),
    "another repository of ours": (replace(IMAGES, repository="website", repository_id="5"), set()),
    "a repository with a longer name": (
        replace(PULL, repository="purchase-prediction-2", repository_id="6"),
        set(),
    ),
    "an owner with a longer name": (replace(PULL, owner="shop-evil", owner_id="7", repository_id="8"), set()),
    "ours, renamed": (replace(IMAGES, repository="forecasting"), set()),
    "ours, moved to another owner": (replace(PROMOTION, owner="bank", owner_id="12"), set()),
    "our old name in other hands": (replace(IMAGES, repository_id="555"), set()),
    "our old name in other hands, its pull request": (replace(PULL, repository_id="555"), set()),
    "our old owner's name in other hands": (replace(PROMOTION, owner_id="556", repository_id="557"), set()),
    "its production": (replace(PRODUCTION, owner_id="556", repository_id="557"), set()),
    "no ref where none is asked for": (replace(PULL, without="ref"), {"promotion-check"}),
}
RIGHT = {"images": IMAGES, "promotion": PROMOTION, "pull request": PULL, "production": PRODUCTION}
WRONG: dict[str, dict[str, Any]] = {
    "for another cloud": {"aud": "api://AzureADTokenExchange"},
    "for a longer audience": {"aud": "sts.amazonaws.com.example"},
    "without audience": {"without": "aud"},
    "without subject": {"without": "sub"},
    "without the repository's number": {"without": "repository_id"},
    "of a repository with a longer number": {"repository_id": "9876543210"},
}
ODD = {
    "a subject with a wildcard": "repo:shop/*:environment:images",
    "half of the immutable form": "repo:shop@1234567/purchase-prediction:environment:images",
    "the other half": "repo:shop/purchase-prediction@987654321:environment:images",
    "numbers alone": "repo:1234567/987654321:environment:images",
    "a customised subject": "repo:shop/purchase-prediction:job_workflow_ref:shop/x/.github/workflows/y.yaml@main",
    "an empty subject": "repo:",
    "a line after it": "repo:shop/purchase-prediction:environment:images\n",
}
ALL = {
    **{f"{name} ({form})": (replace(token, immutable=form == "immutable"), expected)
       for name, (token, expected) in TOKENS.items() for form in ("older", "immutable")},
    **{f"{right}, {wrong}": (replace(RIGHT[right], **WRONG[wrong]), set[str]())
       for right in RIGHT for wrong in WRONG},
    **{f"{right} of main-2": (replace(RIGHT[right], ref="refs/heads/main-2"), set[str]())
       for right in ("images", "promotion")},
    **{f"{right} without ref": (replace(RIGHT[right], without="ref"), set[str]())
       for right in ("images", "promotion")},
    **{name: (replace(IMAGES, subject=subject), set[str]()) for name, subject in ODD.items()},
}  # fmt: skip


def taken(trust: Policy, token: Token, provider: str = PROVIDER) -> bool:
    asked = Request("sts:AssumeRoleWithWebIdentity", principal=("Federated", provider), context=token.context)
    return allows([trust], asked)


@pytest.mark.parametrize("name", ALL)
def test_a_token_takes_exactly_the_role_of_its_job(name: str) -> None:
    token, expected = ALL[name]
    assert {role for role in CI if taken(roles()[f"ci-{role}"].trust, token)} == expected


def test_there_are_enough_tokens_in_both_forms() -> None:
    assert len(ALL) >= 80
    assert sum(bool(expected) for _, expected in ALL.values()) == 10


@pytest.mark.parametrize("role", CI)
def test_nothing_but_a_token_of_githubs_provider_is_taken(role: str) -> None:
    token = next(each for each, expected in ALL.values() if role in expected)
    trust = roles()[f"ci-{role}"].trust
    assert taken(trust, token)
    assert not taken(trust, token, provider=PROVIDER.replace("token.actions", "other.actions"))
    for action in ("sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:TagSession"):
        assert not allows([trust], Request(action, principal=("Federated", PROVIDER), context=token.context))
    assert not allows([trust], Request("sts:AssumeRole", principal=("AWS", "arn:aws:iam::111122223333:root")))


@pytest.mark.parametrize("role", CI)
def test_every_fault_in_a_trust_policy_is_seen(role: str) -> None:
    trust = roles()[f"ci-{role}"].trust
    tried = dict(mutants(trust))
    unseen = [
        what
        for what, mutant in tried.items()
        if "any action" not in what  # other actions are asked for above
        and all(taken(mutant, token) is (role in expected) for token, expected in ALL.values())
    ]
    assert len(tried) > 10
    assert unseen == []


def test_the_roles_are_those_that_workflows_take_in_jobs_that_the_trust_expects() -> None:
    """Without its variable a job asks for no role, and a role that no job asks for is one too many."""
    asked: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for job in load(path)["jobs"].values():
            for step in job["steps"]:
                given = step.get("with", {})
                variable = str(given.get("role-to-assume", given.get("role", "")))
                if variable:
                    subject = f"environment:{job['environment']}" if "environment" in job else "pull_request"
                    asked.setdefault(variable, set()).add(subject)
    assert asked == {
        "${{ vars.IMAGES_ROLE }}": {"environment:images"},
        "${{ vars.PROMOTION_ROLE }}": {"environment:promotion"},
        "${{ vars.PROMOTION_CHECK_ROLE }}": {"pull_request", "environment:production"},
    }
    for variable, subjects in asked.items():
        role = variable.split("vars.")[1].split("_ROLE")[0].lower().replace("_", "-")
        (statement,) = roles()[f"ci-{role}"].trust["Statement"]
        accepted = statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
        assert {each.split(":", 2)[2] for each in accepted} == subjects


def test_no_workflow_has_a_key_of_aws() -> None:
    for path in (*WORKFLOWS, *(ROOT / ".github" / "actions").glob("*/action.yaml")):
        text = path.read_text().lower()
        assert "aws_access_key" not in text
        assert "aws-secret-access-key" not in text


def test_staging_gives_no_workflow_a_role() -> None:
    assert [name for name in roles("staging") if name.startswith("ci-")] == []


# --- pods ----------------------------------------------------------------------------------------------------------

PODS = {
    "forecast-staging": ("purchase-prediction-staging", "forecast"),
    "forecast-production": ("purchase-prediction-production", "forecast"),
    "console-staging": ("purchase-prediction-staging", "console"),
    "console-production": ("purchase-prediction-production", "console"),
    "workflows": ("purchase-prediction-platform", "workflows"),
    "registry": ("purchase-prediction-platform", "registry"),
    "backup": ("purchase-prediction-platform", "backup"),
    "rollout-watch": ("purchase-prediction-platform", "rollout-watch"),
    "retrain": ("purchase-prediction-platform", "retrain"),
    "kyverno": ("kyverno", "kyverno-admission-controller"),
    "aws-node": ("kube-system", "aws-node"),
    "ebs-csi-controller-sa": ("kube-system", "ebs-csi-controller-sa"),
}
CLUSTER = "arn:aws:eks:eu-central-1:111122223333:cluster/purchase-prediction-production"


def pod(namespace: str, account: str, cluster: str = CLUSTER, action: str = "sts:AssumeRole") -> Request:
    tags = {
        "eks-cluster-arn": cluster,
        "kubernetes-namespace": namespace,
        "kubernetes-service-account": account,
    }
    context = {f"aws:RequestTag/{name}": value for name, value in tags.items()}
    return Request(action, principal=("Service", "pods.eks.amazonaws.com"), context=context)


@pytest.mark.parametrize("role", PODS)
def test_a_pod_takes_the_role_of_its_account_and_no_other(role: str) -> None:
    taken = {name for name in PODS if allows([roles()[name].trust], pod(*PODS[role]))}
    assert taken == {role}
    assert allows([roles()[role].trust], pod(*PODS[role], action="sts:TagSession"))
    others = [
        pod(PODS[role][0], "default"),
        pod("default", PODS[role][1]),
        pod(*PODS[role], cluster=CLUSTER.replace("production", "staging")),
        pod(*PODS[role], cluster=CLUSTER.replace("111122223333", "444455556666")),
        replace(pod(*PODS[role]), principal=("Service", "ec2.amazonaws.com")),
        replace(pod(*PODS[role]), context={}),
    ]
    assert not any(allows([roles()[role].trust], each) for each in others)


def test_roles_that_are_no_pods_and_no_workflows_belong_to_a_service_of_aws() -> None:
    rest = {name: role for name, role in roles().items() if name not in PODS and not name.startswith("ci-")}
    services = {name: role.trust["Statement"][0]["Principal"]["Service"] for name, role in rest.items()}
    assert services == {
        "cluster": "eks.amazonaws.com",
        "node": "ec2.amazonaws.com",
        "flow-log": "vpc-flow-logs.amazonaws.com",
    }
