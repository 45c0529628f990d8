"""The evaluator of IAM's rules against cases whose answers the user guide gives."""

from typing import Any

import pytest

from tests.terraform.iam import Context, Request, UnsupportedError, allows

KEYS = {"aud": "sts", "sub": "repo:a/b:pull_request"}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any = "s3:GetObject", resource: Any = "arn:aws:s3:::b/*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


READ = Request("s3:GetObject", "arn:aws:s3:::b/key")
DENY = {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}


@pytest.mark.parametrize(
    ("statements", "request_", "expected"),
    [
        ([], READ, False),
        ([allow()], READ, True),
        ([allow("S3:getobject")], READ, True),
        ([allow(["s3:PutObject", "s3:Get*"])], READ, True),
        ([allow("s3:GetObjec?")], READ, True),
        ([allow("s3:GetObject?")], READ, False),
        ([allow("s3:Get")], READ, False),
        ([allow("*", "*")], READ, True),
        ([allow(resource="arn:aws:s3:::b")], READ, False),
        ([allow(resource="arn:aws:s3:::B/*")], READ, False),
        ([allow(resource=["arn:aws:s3:::c/*", "arn:aws:s3:::b/k*"])], READ, True),
        ([allow(resource="arn:aws:s3:::b/k.y")], READ, False),
        ([allow(), DENY], READ, False),
        ([DENY, allow()], READ, False),
        ([allow(), {**DENY, "Action": "s3:PutObject"}], READ, True),
        ([allow(Principal="*")], READ, True),
        ([allow(Principal={"Service": "ec2.amazonaws.com"})], READ, False),
    ],
)
def test_an_explicit_deny_wins_and_what_nothing_allows_is_denied(
    statements: list[dict[str, Any]], request_: Request, expected: bool
) -> None:
    assert allows([policy(*statements)], request_) is expected


def test_a_deny_of_another_policy_counts_too() -> None:
    assert not allows([policy(allow()), policy(DENY)], READ)


@pytest.mark.parametrize(
    ("condition", "context", "expected"),
    [
        ({"StringEquals": {"aud": "sts"}}, KEYS, True),
        ({"StringEquals": {"AUD": "sts"}}, KEYS, True),
        ({"StringEquals": {"aud": "STS"}}, KEYS, False),
        ({"StringEquals": {"aud": ["other", "sts"]}}, KEYS, True),
        ({"StringEquals": {"aud": "sts", "sub": "repo:a/c:pull_request"}}, KEYS, False),
        ({"StringEquals": {"aud": "sts"}, "StringLike": {"sub": "repo:a/b:*"}}, KEYS, True),
        ({"StringEquals": {"sub": "repo:a/b:*"}}, KEYS, False),
        ({"StringLike": {"sub": "repo:a/?:pull_request"}}, KEYS, True),
        ({"StringLike": {"sub": "repo:a/b"}}, KEYS, False),
        ({"StringEquals": {"gone": "sts"}}, KEYS, False),
        ({"StringEqualsIfExists": {"gone": "sts"}}, KEYS, True),
        ({"StringEqualsIfExists": {"aud": "other"}}, KEYS, False),
        ({"StringNotEquals": {"gone": "sts"}}, KEYS, True),
        ({"StringNotEquals": {"aud": ["other", "sts"]}}, KEYS, False),
        ({"StringNotLike": {"sub": "repo:c/*"}}, KEYS, True),
        ({"ForAllValues:StringEquals": {"gone": "sts"}}, KEYS, True),
        ({"ForAnyValue:StringEquals": {"gone": "sts"}}, KEYS, False),
        ({"ForAllValues:StringEquals": {"tags": ["x", "y"]}}, {"tags": ["x", "y"]}, True),
        ({"ForAllValues:StringEquals": {"tags": ["x"]}}, {"tags": ["x", "y"]}, False),
        ({"ForAnyValue:StringEquals": {"tags": ["x"]}}, {"tags": ["x", "y"]}, True),
        ({"ForAnyValue:StringEquals": {"tags": ["z"]}}, {"tags": ["x", "y"]}, False),
        ({"Bool": {"secure": "false"}}, {"secure": "False"}, True),
        ({"Bool": {"secure": "false"}}, {}, False),
        ({"ArnLike": {"arn": "arn:aws:ec2:*:1:flow-log/*"}}, {"arn": "arn:aws:ec2:eu:1:flow-log/f"}, True),
        ({}, {}, True),
    ],
)
def test_every_line_of_a_condition_has_to_hold(condition: Any, context: Context, expected: bool) -> None:
    asked = Request(READ.action, READ.resource, context=context)
    assert allows([policy(allow(Condition=condition))], asked) is expected


@pytest.mark.parametrize(
    "wrong",
    [
        policy({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}),
        policy({"Effect": "Allow", "Action": "s3:*", "NotResource": "x"}),
        policy(allow(NotPrincipal="*")),
        policy(allow(Effect="Perhaps")),
        policy(allow(Condition={"NumericLessThan": {"age": "1"}})),
        policy(allow(Condition={"ForSome:StringEquals": {"aud": "sts"}})),
        policy(allow(Condition={"StringEquals": {"aud": "${aws:username}"}})),
        {"Version": "2008-10-17", "Statement": [allow()]},
    ],
)
def test_what_it_does_not_know_it_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError):
        allows([wrong], READ)


def test_several_values_need_a_quantifier() -> None:
    asked = Request(READ.action, READ.resource, context={"aud": ["sts", "other"]})
    with pytest.raises(UnsupportedError, match="several values"):
        allows([policy(allow(Condition={"StringEquals": {"aud": "sts"}}))], asked)
