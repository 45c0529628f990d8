"""What a network plugin decides, as https://kubernetes.io/docs/concepts/services-networking/network-policies/ says.

Not every plugin enforces policies, and the test bed's does not, so the manifests are judged here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

Manifest = Mapping[str, Any]

DIRECTIONS = ("Egress", "Ingress")


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod, or an address outside the cluster when it has no namespace."""

    name: str
    address: str
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Connection:
    """From one end to a port of the other."""

    source: End
    target: End
    port: int
    protocol: str = "TCP"


class Network:
    """The policies of a cluster and the labels of its namespaces."""

    def __init__(self, policies: Iterable[Manifest], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        self._policies = list(policies)
        self._namespaces = {
            name: {**labels, "kubernetes.io/metadata.name": name} for name, labels in namespaces.items()
        }
        self._found: dict[tuple[str, str], list[Manifest]] = {}

    def allows(self, connection: Connection) -> bool:
        """Whether both ends let the connection be; a pod always reaches itself."""
        return connection.source == connection.target or all(
            self.lets(direction, connection) for direction in DIRECTIONS
        )

    def lets(self, direction: str, connection: Connection) -> bool:
        """Whether the sender lets it out (`Egress`) or the receiver lets it in (`Ingress`), whatever the other says."""
        own, other = connection.source, connection.target
        if direction == "Ingress":
            own, other = other, own
        concerned = self._concerned(direction, own)
        return not concerned or any(
            self._rule_matches(rule, direction, policy["metadata"]["namespace"], other, connection)
            for policy in concerned
            for rule in policy["spec"].get(direction.lower()) or ()
        )

    def _concerned(self, direction: str, own: End) -> list[Manifest]:
        """The policies that select a pod; where there is none, anything goes."""
        key = (direction, own.name)
        if key not in self._found:
            self._found[key] = [each for each in self._policies if self._concerns(each, direction, own)]
        return self._found[key]

    @staticmethod
    def _concerns(policy: Manifest, direction: str, own: End) -> bool:
        spec = policy["spec"]
        _only(spec, {"podSelector", "policyTypes", "ingress", "egress"})
        types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
        return (
            own.namespace == policy["metadata"]["namespace"]
            and direction in types
            and selects(spec["podSelector"], own.labels)
        )

    def _rule_matches(
        self, rule: Manifest, direction: str, namespace: str, other: End, connection: Connection
    ) -> bool:
        _only(rule, {"from", "to", "ports"})
        peers, ports = rule.get("from" if direction == "Ingress" else "to"), rule.get("ports")
        return (not peers or any(self._is_peer(each, namespace, other) for each in peers)) and (
            not ports or any(_is_port(each, connection) for each in ports)
        )

    def _is_peer(self, peer: Manifest, namespace: str, other: End) -> bool:
        _only(peer, {"ipBlock", "namespaceSelector", "podSelector"})
        if "ipBlock" in peer:
            assert len(peer) == 1, "an ipBlock stands alone"
            return _in_block(peer["ipBlock"], other.address)
        if other.namespace is None:
            return False
        if "namespaceSelector" in peer:
            inside = selects(peer["namespaceSelector"], self._namespaces.get(other.namespace, {}))
        else:
            inside = other.namespace == namespace
        return inside and selects(peer.get("podSelector", {}), other.labels)


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels; an empty one takes all."""
    _only(selector, {"matchLabels", "matchExpressions"})
    return all(
        labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()
    ) and all(_holds(each, labels) for each in selector.get("matchExpressions") or ())


def _holds(expression: Manifest, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", ())
    answers = {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }
    return answers[expression["operator"]]


def _in_block(block: Manifest, address: str) -> bool:
    _only(block, {"cidr", "except"})
    return _is_in(address, block["cidr"]) and not any(
        _is_in(address, each) for each in block.get("except") or ()
    )


@cache
def _is_in(address: str, cidr: str) -> bool:
    return ip_address(address) in ip_network(cidr)


def _is_port(wanted: Manifest, connection: Connection) -> bool:
    """A name is looked up at the receiving pod, for rules of both directions."""
    _only(wanted, {"port", "endPort", "protocol"})
    if wanted.get("protocol", "TCP") != connection.protocol:
        return False
    if "port" not in wanted:
        return True
    first = wanted["port"]
    if isinstance(first, str):
        return connection.target.ports.get(first) == connection.port
    return bool(first <= connection.port <= wanted.get("endPort", first))


def _only(found: Manifest, known: set[str]) -> None:
    """Refuse what this reading does not know rather than pass over it."""
    assert set(found) <= known, f"{sorted(set(found) - known)} is not understood here"
