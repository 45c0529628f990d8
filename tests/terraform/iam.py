"""What AWS would say to a request: the part of IAM's rules that our policies use, and a refusal of every other part.

Source: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements: Condition operators". An explicit deny
wins, what nothing allows is denied, keys and actions are compared without regard to case, values with.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]
Context = Mapping[str, str | list[str]]

KNOWN = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}


class UnsupportedError(Exception):
    """A part of a policy that this evaluator does not know, so that it never guesses."""


@dataclass(frozen=True)
class Request:
    """What is asked of AWS.

    Attributes:
        principal: Kind and name, such as `("Service", "pods.eks.amazonaws.com")`; None where the policy is the
            principal's own.
        context: Condition keys that the request brings.
    """

    action: str
    resource: str = ""
    principal: tuple[str, str] | None = None
    context: Context = field(default_factory=dict)


def allows(policies: Iterable[Document], request: Request) -> bool:
    """Whether some statement allows it and none denies it."""
    effects = {s["Effect"] for policy in policies for s in statements(policy) if _applies(s, request)}
    return effects == {"Allow"}


def statements(policy: Document) -> list[dict[str, Any]]:
    """The statements, each of known parts only."""
    if policy.get("Version") != "2012-10-17" or set(policy) - {"Version", "Statement", "Id"}:
        raise UnsupportedError(f"a policy with {sorted(policy)}")
    found: list[dict[str, Any]] = policy["Statement"]
    for each in found:
        if set(each) - KNOWN or each.get("Effect") not in {"Allow", "Deny"} or "Action" not in each:
            raise UnsupportedError(f"a statement with {sorted(each)}")
    return found


def values(part: Any) -> list[str]:
    """One value and a list of values are the same."""
    return [part] if isinstance(part, str) else list(part)


def _applies(statement: Mapping[str, Any], request: Request) -> bool:
    return (
        any(_like(request.action.lower(), each.lower()) for each in values(statement["Action"]))
        and (
            "Resource" not in statement
            or any(_like(request.resource, r) for r in values(statement["Resource"]))
        )
        and ("Principal" not in statement or _is(statement["Principal"], request.principal))
        and all(
            _holds(operator, key, wanted, request.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _is(wanted: Any, principal: tuple[str, str] | None) -> bool:
    if wanted == "*":
        return True
    return principal is not None and principal[1] in values(wanted.get(principal[0], []))


def _like(value: str, pattern: str) -> bool:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


Compare = Callable[[str, str], bool]
OPERATORS: dict[str, tuple[Compare, bool]] = {
    "StringEquals": (str.__eq__, True),
    "StringNotEquals": (str.__eq__, False),
    "StringLike": (_like, True),
    "StringNotLike": (_like, False),
    "ArnEquals": (_like, True),
    "ArnLike": (_like, True),
    "Bool": (lambda value, wanted: value.lower() == wanted.lower(), True),
}
"""The comparison, and whether one match is wanted or none."""


def _holds(operator: str, key: str, wanted: Any, context: Context) -> bool:
    """One line of a condition: any of the wanted values; a negated operator wants none of them."""
    base, if_exists = operator.removesuffix("IfExists"), operator.endswith("IfExists")
    quantifier, _, base = base.rpartition(":")
    if base not in OPERATORS or quantifier not in {"", "ForAllValues", "ForAnyValue"}:
        raise UnsupportedError(f"the operator {operator}")
    if "${" in str(wanted):
        raise UnsupportedError(f"a policy variable in {wanted}")
    compare, positive = OPERATORS[base]
    brought = {name.lower(): value for name, value in context.items()}.get(key.lower())
    if brought is None:
        return if_exists or quantifier == "ForAllValues" or (not positive and not quantifier)
    if not quantifier and not isinstance(brought, str):
        raise UnsupportedError(f"{key} has several values and {operator} no quantifier")
    found = (any(compare(value, each) for each in values(wanted)) is positive for value in values(brought))
    return any(found) if quantifier == "ForAnyValue" else all(found)
