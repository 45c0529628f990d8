"""`terraform/` as data: its blocks, the values of an installation, and the policies that its roles get."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import hcl2

from tests.repository.imports import ROOT

FOLDER = ROOT / "terraform"
INSTALLATIONS = ("production", "staging")
KEY = "arn:aws:kms:eu-central-1:111122223333:key/of-the-data"
PROVIDER = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
GROUP = "arn:aws:logs:eu-central-1:111122223333:log-group:/flow-log"
MADE_BY_AWS = {
    "aws_kms_key.data.arn": KEY,
    "aws_iam_openid_connect_provider.github[0].arn": PROVIDER,
    "aws_cloudwatch_log_group.flow_log.arn": GROUP,
}
"""Values that are there only after an apply, as the policies see them."""

Body = dict[str, Any]
Scope = Mapping[str, Any]


@cache
def blocks() -> list[tuple[str, tuple[str, ...], Body]]:
    """Every block as kind, labels and body, for example `resource`, `(aws_iam_role, forecast)`, its arguments."""
    found = []
    for path in sorted(FOLDER.glob("*.tf")):
        for kind, bodies in parsed(path.read_text()).items():
            found += [(kind, *_labelled(kind, body)) for body in bodies]
    return found


def parsed(text: str) -> Body:
    """HCL as python-hcl2 reads it, without the quotes that it keeps; expressions stay text in `${}`."""
    plain: Body = _plain(hcl2.loads(text))
    return plain


def _plain(part: Any) -> Any:
    if isinstance(part, dict):
        return {_unquoted(k): _plain(v) for k, v in part.items() if not str(k).startswith("__")}
    if isinstance(part, list):
        return [_plain(each) for each in part]
    return _unquoted(part) if isinstance(part, str) else part


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _labelled(kind: str, body: Body) -> tuple[tuple[str, ...], Body]:
    labels: list[str] = []
    for _ in range({"resource": 2, "data": 2, "variable": 1, "output": 1, "provider": 1}.get(kind, 0)):
        ((label, body),) = body.items()
        labels.append(label)
    return tuple(labels), body


def resources(kind: str) -> dict[str, Body]:
    """The resources of a kind by their names."""
    return {labels[1]: body for block, labels, body in blocks() if block == "resource" and labels[0] == kind}


@cache
def scope(installation: str) -> Scope:
    """`var.` and `local.` of an installation, as far as they are plain values."""
    given = parsed((FOLDER / f"{installation}.tfvars").read_text())
    found: dict[str, Any] = {**MADE_BY_AWS, **{f"var.{name}": value for name, value in given.items()}}
    for kind, _, body in blocks():
        if kind == "locals":
            found |= {f"local.{name}": value for name, value in body.items()}
    found["local.ci"] = found["local.ci_policies"] if given["github"] else {}
    places = {*given["environments"], "platform", "kyverno"}
    found["local.pods_here"] = {
        name: pod for name, pod in found["local.pods"].items() if pod["place"] in places
    }
    return found


def resolved(expression: Any, scope: Scope) -> Any:
    """A string with references, or one reference with what it stands for."""
    if not isinstance(expression, str):
        return (
            {k: resolved(v, scope) for k, v in expression.items()}
            if isinstance(expression, dict)
            else expression
        )
    whole = re.fullmatch(r"\$\{([^{}]+)\}", expression)
    if whole:
        return resolved(_looked_up(whole[1], scope), scope)
    return re.sub(
        r"\$\{([^{}]+)\}", lambda match: str(resolved(_looked_up(match[1], scope), scope)), expression
    )


def _looked_up(name: str, scope: Scope) -> Any:
    if name in scope:
        return scope[name]
    indexed = re.fullmatch(r"(.+)\[(each\.[\w.]+)\]", name)
    if indexed:
        return resolved(_looked_up(indexed[1], scope), scope)[_looked_up(indexed[2], scope)]
    parent, dot, field = name.rpartition(".")
    if not dot:
        raise KeyError(name)
    return resolved(_looked_up(parent, scope), scope)[field]


@dataclass(frozen=True)
class Role:
    """A role of an installation with the documents that decide about it.

    Attributes:
        name: Without the installation, such as `forecast-staging`.
        managed: Names of the policies of AWS that are attached.
    """

    name: str
    trust: Body
    own: tuple[Body, ...]
    managed: tuple[str, ...]


@cache
def roles(installation: str = "production") -> dict[str, Role]:
    """Every role by name, its policies filled in as `templatefile` fills them."""
    found = {}
    for name, body in resources("aws_iam_role").items():
        for each in _copies(body, scope(installation)):
            full = resolved(body["name"], each)
            role = Role(
                full.removeprefix(f"purchase-prediction-{installation}-"),
                document(body["assume_role_policy"], each),
                tuple(_attached("aws_iam_role_policy", "policy", name, each, installation)),
                tuple(_attached("aws_iam_role_policy_attachment", "policy_arn", name, each, installation)),
            )
            found[role.name] = role
    return found


def _copies(body: Body, scope: Scope) -> list[Scope]:
    """The scope of each copy that `for_each` makes, or the one of a resource without it."""
    if "for_each" not in body:
        return [scope]
    listed = re.fullmatch(r"\$\{toset\((\[.*\])\)\}", str(body["for_each"]))
    keys = json.loads(listed[1]) if listed else resolved(body["for_each"], scope)
    named = keys if isinstance(keys, dict) else {key: key for key in keys}
    return [{**scope, "each.key": key, "each.value": value} for key, value in named.items()]


def _attached(kind: str, argument: str, role: str, of: Scope, installation: str) -> list[Any]:
    found = []
    for body in resources(kind).values():
        target = re.fullmatch(r"\$\{aws_iam_role\.(\w+)(\[each\.key\])?\.(id|name)\}", body["role"])
        assert target, body["role"]
        if target[1] == role:
            copies = [
                each
                for each in _copies(body, scope(installation))
                if not target[2] or each["each.key"] == of["each.key"]
            ]
            made = document if argument == "policy" else resolved
            found += [made(body[argument], each) for each in copies]
    return found


TEMPLATE = re.compile(
    r'\$\{templatefile\("\$\{path\.module\}/policies/(?P<file>[^"]+)", (?P<given>.+)\)\}', re.DOTALL
)


def document(expression: str, scope: Scope) -> Body:
    """The JSON that a `templatefile` makes; a placeholder without a value is an error, as in Terraform."""
    match = TEMPLATE.fullmatch(expression)
    assert match, expression
    given = dict(resolved("${local.names}", scope)) if "local.names" in match["given"] else {}
    for name, value in re.findall(r'(\w+) = ("[^"]*"|[\w.\[\]]+)', match["given"]):
        given[name] = resolved(value[1:-1] if value.startswith('"') else f"${{{value}}}", scope)
    text = (FOLDER / "policies" / str(resolved(match["file"], scope))).read_text()
    filled: Body = json.loads(re.sub(r"\$\{(\w+)\}", lambda found: str(given[found[1]]), text))
    return filled
