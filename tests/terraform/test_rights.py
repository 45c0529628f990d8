"""What each role may do, asked one request at a time: its own work, and nothing of its siblings."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.repository.imports import ROOT
from tests.terraform.iam import Request, allows, statements, values
from tests.terraform.mutants import mutants
from tests.terraform.root import FOLDER, INSTALLATIONS, KEY, roles

REGION, ACCOUNT = "eu-central-1", "111122223333"


def bucket(name: str, account: str = ACCOUNT, installation: str = "production") -> str:
    return f"arn:aws:s3:::purchase-prediction-{installation}-{name}-{account}"


def s3(verb: str, path: str) -> Request:
    name, _, key = path.partition("/")
    return Request(f"s3:{verb}Object", f"{bucket(name)}/{key}")


def listing(name: str, prefix: str | None = None) -> Request:
    return Request("s3:ListBucket", bucket(name), context={"s3:prefix": prefix} if prefix else {})


def key(action: str, arn: str = KEY, via: str | None = f"s3.{REGION}.amazonaws.com") -> Request:
    return Request(f"kms:{action}", arn, context={"kms:ViaService": via} if via else {})


def image(action: str, name: str = "purchase-prediction/forecast", account: str = ACCOUNT) -> Request:
    return Request(f"ecr:{action}", f"arn:aws:ecr:{REGION}:{account}:repository/{name}")


AREAS = (
    "models/bundles/5f.tar",
    "models/snapshots/5f/v.jsonl",
    "models/signatures/5f.json",
    "models/reports/drift.json",
    "models/else",
    "models/bundles-2/5f.tar",
    "registry/1/artifacts/x",
    "served/staging/5f/v/t.jsonl",
    "served/production/5f/v/t.jsonl",
    "served/stagings/x",
    "lake/copies/x",
    "logs/models/x",
)
PULL = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
PUSH = ("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage")
MODELS = AREAS[:4]

PROBES: dict[str, Request] = {
    **{f"{verb} {area}": s3(verb, area) for verb in ("Get", "Put", "Delete") for area in AREAS},
    **{f"list {name}": listing(name) for name in ("models", "registry", "served", "lake", "logs")},
    "list models/snapshots": listing("models", "snapshots/5f/"),
    "list models/bundles": listing("models", "bundles/"),
    "decrypt": key("Decrypt"),
    "encrypt": key("GenerateDataKey"),
    "versions of models/snapshots": Request(
        "s3:ListBucketVersions", bucket("models"), context={"s3:prefix": "snapshots/5f/"}
    ),
    "multipart uploads": Request("s3:ListBucketMultipartUploads", bucket("served")),
    "decrypt past S3": key("Decrypt", via=None),
    "decrypt for another service": key("Decrypt", via=f"rds.{REGION}.amazonaws.com"),
    "decrypt by another key": key("Decrypt", arn=KEY.replace("of-the-data", "of-others")),
    "decrypt for S3 of China": key("Decrypt", via=f"s3.{REGION}.amazonaws.com.cn"),
    "remove the key": key("ScheduleKeyDeletion"),
    "log in to ECR": Request("ecr:GetAuthorizationToken", "*"),
    **{action: image(action) for action in (*PULL, *PUSH)},
    "pull of others": image("BatchGetImage", "payments/api"),
    "pull of another account": image("BatchGetImage", account="444455556666"),
    "push for others": image("PutImage", "payments/api"),
    "remove images": image("BatchDeleteImage"),
    "let tags be overwritten": image("PutImageTagMutability"),
    **{
        f"open {name}": Request("s3:PutBucketPolicy", bucket(name))
        for name in ("models", "registry", "served", "lake")
    },
    "list snapshots of another bucket": listing("another", "snapshots/5f/"),
    "past an object's version": Request("s3:DeleteObjectVersion", f"{bucket('lake')}/copies/x"),
    "names of buckets": Request("s3:ListAllMyBuckets", "*"),
    "models of staging's account": Request(
        "s3:GetObject", f"{bucket('models', '444455556666', 'staging')}/bundles/5f.tar"
    ),
    "a secret": Request(
        "secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db"
    ),
    "another role": Request(
        "sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/purchase-prediction-production-node"
    ),
    "rights": Request("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/x"),
    "the database": Request("rds-db:connect", f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:db-1/administrator"),
    "the cluster": Request("eks:CreateAccessEntry", f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/x"),
}

READ_MODELS = {*(f"Get {area}" for area in MODELS), "list models/snapshots", "decrypt"}
READER = {*READ_MODELS, "log in to ECR", *PULL}
MAY: dict[str, set[str]] = {
    "forecast-staging": {*READ_MODELS, "Put served/staging/5f/v/t.jsonl", "encrypt"},
    "forecast-production": {*READ_MODELS, "Put served/production/5f/v/t.jsonl", "encrypt"},
    "workflows": {
        *READ_MODELS,
        *(f"Put {area}" for area in MODELS),
        *(f"Get {area}" for area in AREAS if area.startswith("served/")),
        *("list served", "list lake", "Get lake/copies/x", "Put lake/copies/x", "encrypt"),
    },
    "registry": {
        *("Get registry/1/artifacts/x", "Put registry/1/artifacts/x", "list registry", "decrypt", "encrypt")
    },
    "backup": {
        *(f"Get {area}" for area in AREAS if area.startswith(("models/", "registry/"))),
        *("list models", "list models/snapshots", "list models/bundles", "list registry", "decrypt"),
    },
    "retrain": {"Get models/reports/drift.json", "decrypt"},
    "kyverno": {"log in to ECR", *PULL},
    "rollout-watch": READER,
    "console-staging": READER,
    "console-production": READER,
    "ci-promotion": READER,
    "ci-promotion-check": READER,
    "ci-images": {"log in to ECR", *PULL, *PUSH},
    "flow-log": set(),
}


def may(documents: tuple[Any, ...]) -> set[str]:
    return {name for name, request in PROBES.items() if allows(documents, request)}


@pytest.mark.parametrize("role", MAY)
def test_a_role_does_its_own_work_and_nothing_of_its_siblings(role: str) -> None:
    assert may(roles()[role].own) == MAY[role]


def test_every_role_with_rights_of_its_own_is_in_the_table() -> None:
    assert {name for name, role in roles().items() if role.own} == set(MAY)
    assert set().union(*MAY.values()) < set(PROBES)


@pytest.mark.parametrize("role", sorted(set(MAY) - {"flow-log"}))
def test_every_fault_in_a_policy_is_seen(role: str) -> None:
    (policy,) = roles()[role].own
    tried = dict(mutants(policy))
    assert len(tried) >= 8
    assert [what for what, mutant in tried.items() if may((mutant,)) == MAY[role]] == []


def test_in_the_other_account_the_same_roles_reach_nothing_of_this_one() -> None:
    for role in roles("staging").values():
        own = {
            "log in to ECR",
            "decrypt",
            "encrypt",
            "models of staging's account",
            "pull of another account",
        }
        assert may(role.own) <= own, role.name


# --- the same by other files ----------------------------------------------------------------------------------------


def identities() -> Iterator[tuple[str, set[str]]]:
    """Who may do what in the model store of the platform itself, which is not Amazon's."""
    path = ROOT / "environments" / "platform" / "secrets" / "platform" / "secrets.yaml"
    for each in yaml.safe_load_all(path.read_text()):
        template = each["spec"]["target"].get("template", {}).get("data", {}).get("identities.json")
        if template:
            for identity in json.loads(re.sub(r"\{\{.*?\}\}", '""', template))["identities"]:
                yield identity["name"], set(identity["actions"])


ROLE_OF = {
    "staging": "forecast-staging",
    "production": "forecast-production",
    "writer": "workflows",
    "registry": "registry",
    "backup": "backup",
}


def test_on_aws_an_account_reads_and_writes_what_it_does_in_the_platforms_own_store() -> None:
    granted = dict(identities())
    assert set(granted) == set(ROLE_OF)
    for name, role in ROLE_OF.items():
        for verb, action in (("Read", "Get"), ("Write", "Put")):
            for area in AREAS:
                here = allows([seaweed(granted[name])], Request(verb, area))
                there = f"{action} {area}" in MAY[role]
                # What AWS adds: the lake's copies, and production's counts, which are one patch away.
                added = area.startswith("lake/") or (verb, area) == (
                    "Write",
                    "served/production/5f/v/t.jsonl",
                )
                assert here is there or (there and added), (name, verb, area)


def seaweed(actions: set[str]) -> dict[str, Any]:
    """The same as a policy: `Read:models/bundles/*`."""
    pairs = [each.split(":", 1) for each in sorted(actions)]
    listed = [{"Effect": "Allow", "Action": verb, "Resource": area} for verb, area in pairs]
    return {"Version": "2012-10-17", "Statement": listed}


# --- wildcards ------------------------------------------------------------------------------------------------------


def explained() -> set[tuple[str, str]]:
    """File and statement, or `managed` and the policy's name, of the table beside the policies."""
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| [^|]{20,} \|$",
        (FOLDER / "policies" / "README.md").read_text(),
        re.MULTILINE,
    )
    names = [
        (re.findall(r"`([\w.-]+)`", file) or ["managed"], re.findall(r"`(\w+)`", sids)) for file, sids in rows
    ]
    return {(file, sid) for files, sids in names for file in files for sid in sids}


def wild(policy: dict[str, Any]) -> set[str]:
    return {
        str(each.get("Sid", "?"))
        for each in statements(policy)
        if each["Effect"] == "Allow"
        and (
            any("*" in action for action in values(each["Action"]))
            or any(resource in {"*", "arn:aws:s3:::*"} for resource in values(each.get("Resource", "x")))
            or each.get("Principal") == "*"
        )
    }


def test_what_is_allowed_with_a_wildcard_is_explained_and_nothing_else() -> None:
    files = sorted((FOLDER / "policies").glob("*.json"))
    found = {(path.name, sid) for path in files for sid in wild(json.loads(path.read_text()))}
    managed = {arn for name in INSTALLATIONS for role in roles(name).values() for arn in role.managed}
    found |= {("managed", arn.rpartition("/")[2]) for arn in managed}
    assert found == explained()


@pytest.mark.parametrize(
    "part", [{"Action": "s3:*"}, {"Action": ["s3:Get*"]}, {"Resource": "*"}, {"Principal": "*"}]
)
def test_a_wildcard_is_seen(part: dict[str, Any]) -> None:
    statement = {
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::b/*",
        "Sid": "X",
        **part,
    }
    assert wild({"Version": "2012-10-17", "Statement": [statement]}) == {"X"}
