"""The root is whole, fits the overlays, and what it keeps is closed, encrypted and kept."""

import json
import re
from typing import Any

import pytest
import yaml

from tests.repository.imports import ROOT
from tests.terraform.iam import Request, allows
from tests.terraform.root import (
    FOLDER,
    INSTALLATIONS,
    Body,
    blocks,
    document,
    parsed,
    resolved,
    resources,
    roles,
    scope,
)

TEXT = "".join(path.read_text() for path in sorted(FOLDER.glob("*.tf")))
BUCKETS = ("lake", "models", "registry", "served")


def labelled(kind: str) -> dict[str, Body]:
    return {labels[0]: body for block, labels, body in blocks() if block == kind}


# --- whole ----------------------------------------------------------------------------------------------------------


def test_versions_are_exact_and_the_state_is_locked_and_encrypted() -> None:
    ((terraform,),) = [[body for kind, _, body in blocks() if kind == "terraform"]]
    (providers,) = terraform["required_providers"]
    assert set(providers) == {"aws"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", providers["aws"]["version"])
    assert terraform["required_version"].startswith(">= 1.11")
    (backend,) = terraform["backend"]
    assert backend["s3"]["use_lockfile"] is True
    assert backend["s3"]["encrypt"] is True


def test_nothing_comes_from_elsewhere() -> None:
    assert {kind for kind, _, _ in blocks()} == {
        *("terraform", "provider", "variable", "locals", "resource", "output"),
    }


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_an_installation_gives_every_variable_but_the_secret_one(installation: str) -> None:
    declared = labelled("variable")
    given = parsed((FOLDER / f"{installation}.tfvars").read_text())
    secret = {name for name, body in declared.items() if body.get("sensitive")}
    assert set(given) == set(declared) - secret
    assert secret == {"rate_limit_passwords"}
    assert declared["rate_limit_passwords"]["ephemeral"] is True, "else it is kept in the state"


def test_installations_share_neither_account_nor_network_nor_state() -> None:
    for name in ("account_id", "network"):
        assert len({scope(each)[f"var.{name}"] for each in INSTALLATIONS}) == len(INSTALLATIONS)
    states = [parsed((FOLDER / f"{each}.s3.tfbackend").read_text()) for each in INSTALLATIONS]
    assert [each["bucket"] for each in states] == [
        f"purchase-prediction-{each}-state-{scope(each)['var.account_id']}" for each in INSTALLATIONS
    ]


def test_every_name_that_is_used_is_there_and_every_name_that_is_there_is_used() -> None:
    made = {".".join(labels) for kind, labels, _ in blocks() if kind == "resource"}
    used = set(re.findall(r"\b(aws_\w+\.\w+)", TEXT))
    assert used <= made, used - made
    assert set(re.findall(r"\bvar\.(\w+)", TEXT)) == set(labelled("variable"))
    known = {name for kind, _, body in blocks() if kind == "locals" for name in body}
    assert set(re.findall(r"\blocal\.(\w+)", TEXT)) == known
    assert all(
        body.get("description") for body in (*labelled("variable").values(), *labelled("output").values())
    )


def test_every_policy_is_used_and_every_name_in_it_is_given() -> None:
    used = set(re.findall(r"policies/([\w.-]+\.json)", TEXT))
    used |= {f"trust-{name}.json" for name in scope("production")["local.ci_policies"]}
    used |= set(scope("production")["local.ci_policies"].values())
    used |= {pod["policy"] for pod in scope("production")["local.pods"].values()}
    assert used == {path.name for path in (FOLDER / "policies").glob("*.json")}
    assert roles("production")
    assert roles("staging")


def test_a_name_that_is_not_given_is_an_error() -> None:
    with pytest.raises(KeyError, match="namespace"):
        document(
            '${templatefile("${path.module}/policies/trust-pod.json", local.names)}', scope("production")
        )


def test_names_are_as_long_as_aws_takes_them() -> None:
    for installation in INSTALLATIONS:
        names = resolved("${local.names}", scope(installation))
        assert all(len(names[bucket]) <= 63 for bucket in (*BUCKETS, "logs"))
        assert all(len(f"purchase-prediction-{installation}-{role}") <= 64 for role in roles(installation))
        assert len(f"purchase-prediction-{installation}-rates") <= 40


# --- as the overlays have it ----------------------------------------------------------------------------------------


def test_every_image_of_the_overlays_has_a_repository_whose_tags_stay() -> None:
    overlay = yaml.safe_load((ROOT / "environments" / "production" / "kustomization.yaml").read_text())
    prefix = "registry.example.com/purchase-prediction/"
    wanted = {each["newName"].removeprefix(prefix) for each in overlay["images"]}
    listed = set(
        json.loads(re.sub(r",\s*\]", "]", re.findall(r"images = toset\((\[.*?\])\)", TEXT, re.DOTALL)[0]))
    )
    assert wanted <= listed
    (repository,) = resources("aws_ecr_repository").values()
    assert repository["image_tag_mutability"] == "IMMUTABLE"
    assert repository["name"] == "${local.namespace}/${each.key}"


def test_namespaces_are_those_of_the_manifests() -> None:
    assert scope("production")["local.namespace"] == "purchase-prediction"
    for environment in scope("production")["var.environments"]:
        overlay = (ROOT / "environments" / environment / "kustomization.yaml").read_text()
        assert f"namespace: purchase-prediction-{environment}\n" in overlay


def test_accounts_in_redis_may_do_what_they_may_in_the_platforms_own() -> None:
    (user,) = [each for each in resources("aws_elasticache_user").values() if "for_each" in each]
    secrets = (ROOT / "environments" / "platform" / "secrets" / "platform" / "secrets.yaml").read_text()
    for environment in ("staging", "production"):
        ours = resolved(user["access_string"], {"each.key": environment})
        (line,) = re.findall(rf"user {environment} (.*)", secrets)
        assert ours == re.sub(r">\{\{.*?\}\} ", "", line)
    (default,) = [each for each in resources("aws_elasticache_user").values() if "for_each" not in each]
    assert default["access_string"] == "off -@all"


# --- closed, encrypted and kept -------------------------------------------------------------------------------------


def test_every_bucket_is_closed_versioned_encrypted_and_takes_tls_only() -> None:
    assert set(scope("production")["local.buckets"]) == set(BUCKETS)
    for name in ("this", "logs"):
        assert {resources("aws_s3_bucket_public_access_block")[name][each] for each in CLOSED} == {True}
        (versioning,) = resources("aws_s3_bucket_versioning")[name]["versioning_configuration"]
        assert versioning == {"status": "Enabled"}
        (owner,) = resources("aws_s3_bucket_ownership_controls")[name]["rule"]
        assert owner == {"object_ownership": "BucketOwnerEnforced"}
        assert resources("aws_s3_bucket_server_side_encryption_configuration")[name]["rule"]
        plain, secured = (asked(name, secure) for secure in ("false", "true"))
        open_to_all = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        policies = [bucket_policy(name), {"Version": "2012-10-17", "Statement": [open_to_all]}]
        assert not allows(policies, plain)
        assert allows(policies, secured)
        assert not allows([bucket_policy(name)], secured), "a policy of the bucket opens it"


CLOSED = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
OBJECT = "arn:aws:s3:::purchase-prediction-production-{}-111122223333/x"


def bucket_policy(name: str) -> dict[str, Any]:
    return document(
        resources("aws_s3_bucket_policy")[name]["policy"], {**scope("production"), "each.key": "models"}
    )


def asked(name: str, secure: str) -> Request:
    bucket = "models" if name == "this" else "logs"
    return Request("s3:PutObject", OBJECT.format(bucket), ("AWS", "anybody"), {"aws:SecureTransport": secure})


def test_the_key_serves_its_account_and_two_services_for_that_account() -> None:
    policy = document(resources("aws_kms_key")["data"]["policy"], scope("production"))
    logs, alarms = ("Service", "logs.eu-central-1.amazonaws.com"), ("Service", "cloudwatch.amazonaws.com")
    group = "arn:aws:logs:eu-central-1:{}:log-group:x"
    context = "kms:EncryptionContext:aws:logs:arn"
    cases = [
        (("AWS", "arn:aws:iam::111122223333:root"), {}, True),
        (("AWS", "arn:aws:iam::444455556666:root"), {}, False),
        (logs, {context: group.format("111122223333")}, True),
        (logs, {context: group.format("444455556666")}, False),
        (logs, {}, False),
        (alarms, {"aws:SourceAccount": "111122223333"}, True),
        (alarms, {"aws:SourceAccount": "444455556666"}, False),
    ]
    for principal, brought, expected in cases:
        assert allows([policy], Request("kms:Decrypt", "key", principal, brought)) is expected, principal
    assert resources("aws_kms_key")["data"]["enable_key_rotation"] is True


def test_no_password_is_written_and_none_gets_into_the_state() -> None:
    database = resources("aws_db_instance")["this"]
    assert database["manage_master_user_password"] is True
    assert not [name for name in database if name.startswith("password")]
    users = resources("aws_elasticache_user").values()
    assert not [user for user in users if {"passwords", "authentication_mode"} & set(user)]


def test_database_and_redis_are_reached_from_the_cluster_alone_and_encrypted() -> None:
    assert not resources("aws_security_group_rule")
    for rule in resources("aws_vpc_security_group_ingress_rule").values():
        assert "cidr_ipv4" not in rule
        assert rule["referenced_security_group_id"].startswith("${aws_eks_cluster.this.")
    parameters = {
        each["name"]: each["value"] for each in resources("aws_db_parameter_group")["this"]["parameter"]
    }
    assert parameters["rds.force_ssl"] == "1"
    database, redis = (
        resources("aws_db_instance")["this"],
        resources("aws_elasticache_replication_group")["rates"],
    )
    assert (database["publicly_accessible"], database["storage_encrypted"]) == (False, True)
    assert database["deletion_protection"] is True
    assert (redis["transit_encryption_enabled"], redis["at_rest_encryption_enabled"]) == (True, True)


def test_training_runs_on_spot_nodes_that_others_avoid_and_no_pod_gets_a_nodes_role() -> None:
    groups = resources("aws_eks_node_group")
    assert groups["training"]["capacity_type"] == "SPOT"
    assert groups["training"]["taint"]
    assert "capacity_type" not in groups["serving"]
    (metadata,) = resources("aws_launch_template")["node"]["metadata_options"]
    assert (metadata["http_tokens"], metadata["http_put_response_hop_limit"]) == ("required", 1)


def test_every_alarm_says_what_to_do_and_reaches_people() -> None:
    listed = scope("production")["local.alarms"]
    assert len(listed) >= 5
    assert all(len(each["text"]) > 40 for each in listed.values())
    for alarm in resources("aws_cloudwatch_metric_alarm").values():
        assert alarm["alarm_actions"] == ["${aws_sns_topic.alarms.arn}"]
    budget = resources("aws_budgets_budget")["monthly"]["notification"]
    assert {each["notification_type"] for each in budget} == {"ACTUAL", "FORECASTED"}


def test_files_are_formatted_as_far_as_a_reader_can_see() -> None:
    """`terraform fmt` is not here; this is what of it a line alone shows."""
    for path in sorted(FOLDER.glob("*.tf*")):
        lines = path.read_text().split("\n")
        assert lines[-1] == "", path.name
        assert not [line for line in lines if line != line.rstrip() or "\t" in line], path.name
        assert not [line for line in lines if (len(line) - len(line.lstrip())) % 2], path.name
