"""A policy with one fault each, for tests that have to notice every one."""

import copy
from collections.abc import Iterator
from typing import Any

Policy = dict[str, Any]


def mutants(policy: Policy) -> Iterator[tuple[str, Policy]]:
    """What was done, and the policy with it: something taken away, or something opened."""
    for place, statement in enumerate(policy["Statement"]):
        for what, changed in _of(statement):
            mutant = copy.deepcopy(policy)
            mutant["Statement"][place : place + 1] = changed
            yield f"{statement.get('Sid', place)}: {what}", mutant


def _of(statement: Policy) -> Iterator[tuple[str, list[Policy]]]:
    yield "gone", []
    for part in ("Action", "Resource"):
        listed = statement.get(part, [])
        if isinstance(listed, list):
            for value in listed:
                yield f"without {value}", [{**statement, part: [each for each in listed if each != value]}]
    if statement["Effect"] == "Allow":
        service = next(
            iter([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        )
        yield "any action", [{**statement, "Action": f"{service.split(':')[0]}:*"}]
        if statement.get("Resource", "*") != "*":
            yield "any resource", [{**statement, "Resource": "*"}]
    yield from ((what, [{**statement, "Condition": condition}]) for what, condition in _conditions(statement))


def _conditions(statement: Policy) -> Iterator[tuple[str, Policy]]:
    for operator, keys in statement.get("Condition", {}).items():
        rest = {k: v for k, v in statement["Condition"].items() if k != operator}
        yield f"{operator} that a missing key passes", {**rest, f"{operator}IfExists": keys}
        for key, wanted in keys.items():
            others = {k: v for k, v in keys.items() if k != key}
            yield f"without {key}", {**rest, operator: others}
            for value in wanted if isinstance(wanted, list) else []:
                fewer = [each for each in wanted if each != value]
                yield f"{key} without {value}", {**rest, operator: {**others, key: fewer}}
            for value in wanted if isinstance(wanted, list) else [wanted]:
                for opened in _opened(value):
                    yield (
                        f"{key} like {opened}",
                        {**rest, operator: others, "StringLike": {key: [wanted, opened]}},
                    )


def _opened(value: str) -> Iterator[str]:
    """The value with a wildcard where it is often written."""
    if not value.endswith("*"):
        yield f"{value}*"
    if ":" in value:
        yield value.rpartition(":")[0] + ":*"
