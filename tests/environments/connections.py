"""The written matrix of connections, and the ends that it speaks of."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import yaml

from tests.environments.network_policies import Connection, End, Network
from tests.environments.rendered import Manifest, documents, manifests, of_kind, text_of
from tests.repository.imports import ROOT

MATRIX = ROOT / "environments" / "connections.yaml"
ENVIRONMENTS = ("staging", "production")
OURS = (*ENVIRONMENTS, "platform")
NEWCOMER = "newcomer"
"""A pod that nobody thought of, in each of our namespaces."""

_NAME = "app.kubernetes.io/name"


@dataclass(frozen=True, order=True)
class Row:
    """Names of two ends, a port and its protocol."""

    source: str
    target: str
    port: int
    protocol: str = "TCP"


@cache
def matrix() -> dict[str, Any]:
    """The file as it is written."""
    loaded: dict[str, Any] = yaml.safe_load(MATRIX.read_text())
    return loaded


@cache
def ends() -> dict[str, End]:
    """Every pod that is rendered, and what the matrix names beside them, by name."""
    found = {
        f"{place}/{name}": (f"purchase-prediction-{place}", labels, ports)
        for place in OURS
        for name, labels, ports in _pods(place)
    }
    for namespace, names in matrix()["namespaces"].items():
        found |= {f"{namespace}/{name}": (namespace, {_NAME: name, "k8s-app": name}, {}) for name in names}
    pods = {
        name: End(name, f"10.244.0.{number}", namespace, labels, ports)
        for number, (name, (namespace, labels, ports)) in enumerate(sorted(found.items()), start=1)
    }
    return pods | {name: End(name, address) for name, address in matrix()["addresses"].items()}


def _pods(place: str) -> Iterator[tuple[str, Mapping[str, str], Mapping[str, int]]]:
    for each in of_kind(manifests(place), "Deployment", "StatefulSet"):
        template = each["spec"]["template"]
        (container,) = template["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        yield each["metadata"]["name"], template["metadata"]["labels"], ports
    for name in matrix()["jobs"].get(place, ()):
        yield name, {_NAME: name, "app.kubernetes.io/part-of": "purchase-prediction"}, {}
    yield NEWCOMER, {_NAME: NEWCOMER}, {"http": 8000}


def allowed() -> set[Row]:
    """Every row, with `environment` and `*` written out."""
    return {row for each in matrix()["connections"] for row in _rows(each)}


def denied() -> list[Row]:
    """The nearest connection to each row that must not be."""
    return [row for each in matrix()["connections"] for row in _rows({**each, **each["but_not"]})]


def _rows(written: Mapping[str, Any]) -> Iterator[Row]:
    for place in ENVIRONMENTS if "environment/" in f"{written['from']} {written['to']}" else ("",):
        source, target = (str(written[end]).replace("environment/", f"{place}/") for end in ("from", "to"))
        for sender, receiver in product(_written_out(source), _written_out(target)):
            yield Row(sender, receiver, written["port"], written.get("protocol", "TCP"))


def _written_out(name: str) -> list[str]:
    """An end's name, or those of all pods of a place."""
    if not name.endswith("/*"):
        return [name]
    return [each for each in ends() if each.startswith(name[:-1]) and not each.endswith(NEWCOMER)]


def policies() -> list[Manifest]:
    """All network policies of staging, production and the platform."""
    return [each for place in OURS for each in of_kind(manifests(place), "NetworkPolicy")]


@cache
def namespaces() -> dict[str, dict[str, str]]:
    """Labels of every namespace; ours are those that argo/bootstrap gives."""
    ours = of_kind(documents(text_of("argo/bootstrap")), "Namespace")
    labels = {each["metadata"]["name"]: each["metadata"]["labels"] for each in ours}
    return labels | {name: {} for name in matrix()["namespaces"]}


def candidates() -> list[tuple[Row, Connection]]:
    """Every pair of ends of which one is ours, and every port that appears anywhere and some that do not."""
    ours = {f"purchase-prediction-{place}" for place in OURS}
    ports = {
        *((row.port, row.protocol) for row in allowed()),
        (22, "TCP"),
        (80, "TCP"),
        (9999, "TCP"),
        (9999, "UDP"),
    }
    return [
        (Row(source.name, target.name, port, protocol), Connection(source, target, port, protocol))
        for source, target in product(ends().values(), repeat=2)
        if source != target and {source.namespace, target.namespace} & ours
        for port, protocol in sorted(ports)
    ]


def let_by(
    direction: str, found: Iterable[Manifest], asked: Iterable[tuple[Row, Connection]]
) -> Iterator[tuple[Row, bool]]:
    """Whether one end of each connection lets it be, whatever the other end says."""
    network = Network(found, namespaces())
    return ((row, network.lets(direction, connection)) for row, connection in asked)
