"""The network policies allow the written connections and no other, and none of their parts is idle."""

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.environments import connections
from tests.environments.connections import (
    NEWCOMER,
    Row,
    allowed,
    candidates,
    denied,
    ends,
    let_by,
    policies,
)
from tests.environments.network_policies import DIRECTIONS, Connection, Network
from tests.environments.rendered import Manifest, manifests, of_kind

Path = tuple[str | int, ...]


@cache
def asked(direction: str, namespace: str | None = None) -> list[tuple[Row, Connection]]:
    """The candidates whose own end for this direction is in one of our namespaces, or in this one."""
    return [
        (row, connection)
        for row, connection in candidates()
        if (own := connection.source if direction == "Egress" else connection.target).namespace
        and str(own.namespace).startswith("purchase-prediction-")
        and namespace in {None, own.namespace}
    ]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_each_end_lets_be_what_is_written_and_nothing_else(direction: str) -> None:
    """Judged apart, so that a mistake at one end is not hidden by the other."""
    rows = {row for row, _ in asked(direction)}
    assert {row for row, is_let in let_by(direction, policies(), asked(direction)) if is_let} == (
        allowed() & rows
    )


def test_every_row_has_an_end_of_ours() -> None:
    assert allowed() <= {row for direction in DIRECTIONS for row, _ in asked(direction)}


def test_every_row_has_a_neighbour_that_is_denied() -> None:
    assert [each for each in connections.matrix()["connections"] if len(each["but_not"]) != 1] == []
    assert len(denied()) >= len(connections.matrix()["connections"])
    assert not set(denied()) & allowed()
    network = Network(policies(), connections.namespaces())
    open_ = [
        row
        for row in denied()
        if network.allows(Connection(ends()[row.source], ends()[row.target], row.port, row.protocol))
    ]
    assert open_ == []


def test_environments_never_reach_each_other() -> None:
    for row in allowed():
        assert {row.source.partition("/")[0], row.target.partition("/")[0]} != {"staging", "production"}


def test_a_pod_that_nobody_thought_of_reaches_nothing_and_nothing_reaches_it() -> None:
    assert len([name for name in ends() if name.endswith(NEWCOMER)]) == len(connections.OURS)
    assert [row for row in allowed() if NEWCOMER in f"{row.source} {row.target}"] == []


def test_all_environments_have_the_same_policies() -> None:
    """So what is shown of one below holds for the others."""
    local, staging, production = (
        [(each["metadata"]["name"], each["spec"]) for each in of_kind(manifests(name), "NetworkPolicy")]
        for name in ("local", "staging", "production")
    )
    assert local == staging == production


def mutants(found: list[Manifest]) -> Iterator[tuple[str, list[Manifest]]]:
    """Every way to take something away from a policy or to widen it: (what was done, all policies)."""
    for number, policy in enumerate(found):
        if policy["metadata"]["namespace"].endswith("-staging"):
            continue  # the same as production's
        name = f"{policy['metadata']['namespace'].rpartition('-')[2]}/{policy['metadata']['name']}"
        rest = found[:number] + found[number + 1 :]
        yield f"{name} removed", rest
        for path, value in changes(policy["spec"]):
            changed = copy.deepcopy(policy)
            put(changed["spec"], path, value)
            what = ".".join(map(str, path))
            yield f"{name} {what} {'removed' if value is None else f'= {value}'}", [*rest, changed]


def changes(spec: Any) -> Iterator[tuple[Path, Any]]:
    """(path, new value) of every change; None removes what is there."""
    for path, value in everything(spec):
        last = path[-1] if path else None
        if isinstance(last, int) and "policyTypes" not in path:  # a rule, a peer, a port, an exception
            yield path, None
        if (
            last == "policyTypes" and "ingress" not in spec and "egress" not in spec
        ):  # else another one says it too
            yield from (((*path, index), None) for index in range(len(value)))
        if last in {"from", "to", "ports", "podSelector", "namespaceSelector"} and path != ("podSelector",):
            yield path, None
        if last in {"podSelector", "namespaceSelector"} and value:
            yield path, {}
        if last == "cidr" and value != "0.0.0.0/0":
            yield path, "0.0.0.0/0"
        if last == "port" and isinstance(value, int):
            yield (*path[:-1], "endPort"), 65535
        if isinstance(value, dict) and last == "matchLabels" and len(value) > 1:
            for key in value:
                yield (*path, key), None


def everything(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """All values of a tree, the outer ones first."""
    yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from everything(each, (*path, key))


def put(tree: Any, path: Path, value: Any) -> None:
    """Change, add or remove what is at a path."""
    for step in path[:-1]:
        tree = tree[step]
    if value is None:
        del tree[path[-1]]
    else:
        tree[path[-1]] = value


@cache
def before(direction: str, namespace: str) -> dict[Row, bool]:
    return dict(let_by(direction, policies(), asked(direction, namespace)))


def differs(changed: list[Manifest], namespace: str) -> bool:
    return any(
        is_let != before(direction, namespace)[row]
        for direction in DIRECTIONS
        for row, is_let in let_by(direction, changed, asked(direction, namespace))
    )


def test_every_part_of_every_policy_is_needed() -> None:
    made = list(mutants(policies()))
    assert len(made) >= 200
    survivors = [
        name
        for name, changed in made
        if not differs(changed, f"purchase-prediction-{name.partition('/')[0]}")
    ]
    assert survivors == []
