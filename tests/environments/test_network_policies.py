"""The reading of network policies gives the answers that Kubernetes' documentation gives."""

from typing import Any

import pytest
import yaml

from tests.environments.network_policies import Connection, End, Network, selects

# The example of the documentation.
DOCUMENTED = """
metadata: {name: test-network-policy, namespace: default}
spec:
  podSelector: {matchLabels: {role: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
    - namespaceSelector: {matchLabels: {project: myproject}}
    - podSelector: {matchLabels: {role: frontend}}
    ports: [{protocol: TCP, port: 6379}]
  egress:
  - to: [{ipBlock: {cidr: 10.0.0.0/24}}]
    ports: [{protocol: TCP, port: 5978}]
"""
NAMESPACES = {"default": {}, "friends": {"project": "myproject"}, "others": {"project": "other"}}
DB = End("db", "10.9.0.1", "default", {"role": "db"}, {"redis": 6379})
FRONTEND = End("frontend", "10.9.0.2", "default", {"role": "frontend"})
BACKEND = End("backend", "10.9.0.3", "default", {"role": "backend"})
FRIEND = End("friend", "10.9.1.1", "friends", {"role": "anything"})
FALSE_FRIEND = End("false-friend", "10.9.2.1", "others", {"role": "frontend"})
INSIDE, EXCEPTED, WORLD = (End(ip, ip) for ip in ("172.17.2.1", "172.17.1.1", "8.8.8.8"))
EGRESS = End("10.0.0.7", "10.0.0.7")


def network(*texts: str) -> Network:
    return Network([yaml.safe_load(text) for text in texts], NAMESPACES)


@pytest.mark.parametrize(
    ("source", "target", "port", "allowed"),
    [
        (FRONTEND, DB, 6379, True),
        (FRONTEND, DB, 6380, False),
        (BACKEND, DB, 6379, False),
        (FRIEND, DB, 6379, True),
        (FALSE_FRIEND, DB, 6379, False),  # a pod selector alone stays in the policy's namespace
        (INSIDE, DB, 6379, True),
        (EXCEPTED, DB, 6379, False),
        (WORLD, DB, 6379, False),
        (DB, EGRESS, 5978, True),
        (DB, EGRESS, 443, False),
        (DB, WORLD, 5978, False),
        (DB, FRONTEND, 5978, False),
        (FRONTEND, BACKEND, 1, True),  # no policy selects them
        (DB, DB, 1, True),
    ],
)
def test_the_documented_example(source: End, target: End, port: int, *, allowed: bool) -> None:
    assert network(DOCUMENTED).allows(Connection(source, target, port)) is allowed


def policy(spec: str) -> str:
    return f"metadata: {{name: p, namespace: default}}\nspec: {spec}"


DENY_ALL = policy("{podSelector: {}, policyTypes: [Ingress, Egress]}")
ANY = Connection(FRONTEND, DB, 6379)
FRIENDS = "namespaceSelector: {matchLabels: {project: myproject}}"
FRONTENDS = "podSelector: {matchLabels: {role: frontend}}"


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ("{podSelector: {}, policyTypes: [Ingress]}", False),
        ("{podSelector: {}, policyTypes: [Egress]}", False),
        ("{podSelector: {}}", False),  # Ingress when no type is named
        ("{podSelector: {matchLabels: {role: other}}, policyTypes: [Ingress]}", True),
        ("{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}", True),
        ("{podSelector: {}, policyTypes: [Ingress], ingress: []}", False),
        ("{podSelector: {}, policyTypes: [Ingress], ingress: [{from: []}]}", True),
        ("{podSelector: {}, policyTypes: [Egress], ingress: [{}]}", False),
        # Both selectors in one peer must hold, two peers are alternatives.
        (f"{{podSelector: {{}}, ingress: [{{from: [{{{FRIENDS}, {FRONTENDS}}}]}}]}}", False),
        (f"{{podSelector: {{}}, ingress: [{{from: [{{{FRIENDS}}}, {{{FRONTENDS}}}]}}]}}", True),
        ("{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}", True),
        ("{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}", True),
        ("{podSelector: {}, ingress: [{ports: [{port: 6379}]}]}", True),
        ("{podSelector: {}, ingress: [{ports: [{port: redis}]}]}", True),
        ("{podSelector: {}, ingress: [{ports: [{port: http}]}]}", False),
        ("{podSelector: {}, ingress: [{ports: [{port: 6379, protocol: UDP}]}]}", False),
        ("{podSelector: {}, ingress: [{ports: [{protocol: TCP}]}]}", True),
        ("{podSelector: {}, ingress: [{ports: [{port: 6000, endPort: 6379}]}]}", True),
        ("{podSelector: {}, ingress: [{ports: [{port: 6000, endPort: 6378}]}]}", False),
        # An egress rule adds the type Egress by itself, which stops the sender.
        ("{podSelector: {matchLabels: {role: frontend}}, egress: [{ports: [{port: 1}]}]}", False),
    ],
)
def test_one_policy(spec: str, *, allowed: bool) -> None:
    assert network(policy(spec)).allows(ANY) is allowed


def test_policies_add_up_and_both_ends_must_agree() -> None:
    let_in = policy("{podSelector: {matchLabels: {role: db}}, ingress: [{from: [{podSelector: {}}]}]}")
    let_out = policy("{podSelector: {matchLabels: {role: frontend}}, policyTypes: [Egress], egress: [{}]}")
    assert not network(DENY_ALL).allows(ANY)
    assert not network(DENY_ALL, let_in).allows(ANY)
    assert not network(DENY_ALL, let_out).allows(ANY)
    assert network(DENY_ALL, let_in, let_out).allows(ANY)


@pytest.mark.parametrize(
    ("expression", "taken"),
    [
        ({"key": "role", "operator": "In", "values": ["db", "cache"]}, True),
        ({"key": "role", "operator": "NotIn", "values": ["db"]}, False),
        ({"key": "other", "operator": "NotIn", "values": ["db"]}, True),
        ({"key": "role", "operator": "Exists"}, True),
        ({"key": "role", "operator": "DoesNotExist"}, False),
    ],
)
def test_expressions_select(expression: dict[str, Any], *, taken: bool) -> None:
    assert selects({"matchExpressions": [expression]}, DB.labels) is taken


@pytest.mark.parametrize(
    "spec",
    [
        "{podSelector: {}, ingress: [{form: []}]}",
        "{podSelector: {}, ingress: [{from: [{podSelectors: {}}]}]}",
        "{podSelector: {matchLabel: {}}}",
    ],
)
def test_what_is_not_understood_is_not_passed_over(spec: str) -> None:
    with pytest.raises(AssertionError, match="is not understood here"):
        network(policy(spec)).allows(ANY)
