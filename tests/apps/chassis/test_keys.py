"""Keys come from a file of hashes that may change under a running service."""

import hashlib
import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from apps.chassis.guard import admitted
from apps.chassis.keys import BadKeyFile, KeyRing, Role
from apps.chassis.problems import Problem

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SENDERS = frozenset({Role.sender, Role.browser})
SHOP = "https://shop.example"


def line(key: str = "one", **changes: Any) -> str:
    stored = {
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "source": "web",
        "environment": "staging",
        "roles": ["sender"],
    }
    return json.dumps(stored | changes)


def write(file: Path, *lines: str) -> None:
    """As a Secret is replaced: another file under the same name."""
    new = file.with_suffix(".new")
    new.write_text("\n".join(lines))
    new.replace(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "keys.jsonl"
    write(file, line())
    return file


def ring(file: Path, registry: CollectorRegistry | None = None) -> KeyRing:
    return KeyRing("staging", file=file, registry=registry, clock=lambda: NOW)


def refusal(keys: KeyRing, offered: str | None, origin: str | None = None) -> tuple[int, str]:
    with pytest.raises(Problem) as refused:
        admitted(keys, offered, SENDERS, origin)
    return refused.value.status_code, refused.value.name


def test_a_key_is_known_by_its_hash_and_says_its_source(file: Path) -> None:
    assert admitted(ring(file), "one", SENDERS, None).source == "web"
    for unknown in (None, "", "two", "one ", json.loads(line())["sha256"]):
        assert refusal(ring(file), unknown) == (401, "api-key-refused")


@pytest.mark.parametrize(
    ("changes", "status", "name"),
    [
        ({"environment": "production"}, 403, "key-of-another-environment"),
        ({"roles": ["viewer", "controller"]}, 403, "role-refused"),
        ({"not_before": "2026-03-01T03:00:01+03:00"}, 401, "key-not-yet-valid"),
        ({"not_after": "2026-03-01T03:00:00+03:00"}, 401, "key-expired"),
        ({"roles": ["browser"], "origins": [SHOP]}, 403, "origin-refused"),
    ],
)
def test_a_known_key_is_refused_for_its_own_reason(
    file: Path, changes: dict[str, Any], status: int, name: str
) -> None:
    write(file, line(**changes))
    assert refusal(ring(file), "one", f"{SHOP}.evil.example") == (status, name)


def test_the_limits_of_a_key_let_through_what_they_allow(file: Path) -> None:
    write(file, line(roles=["browser"], origins=[SHOP], not_before="2026-03-01T00:00:00Z"))
    assert admitted(ring(file), "one", SENDERS, SHOP).roles == {Role.browser}
    assert ring(file).origins() == {SHOP}
    write(file, line(roles=["browser"], origins=[SHOP], environment="production"))
    assert ring(file).origins() == frozenset()


def test_two_keys_of_a_source_are_valid_at_a_time_and_the_old_one_goes(file: Path) -> None:
    keys = ring(file)
    write(file, line("one"), line("two"))
    assert {admitted(keys, key, SENDERS, None).source for key in ("one", "two")} == {"web"}
    write(file, line("two"))
    assert refusal(keys, "one") == (401, "api-key-refused")
    admitted(keys, "two", SENDERS, None)


BROKEN = {
    "not JSON": "{",
    "no key": "",
    "an unknown field": line(allowed_ips=["10.0.0.0/8"]),
    "a hash that is none": line(sha256="one"),
    "a key twice": f"{line()}\n{line(source='app')}",
    "a browser key that may more": line(roles=["browser", "sender"], origins=[SHOP]),
    "a browser key for all pages": line(roles=["browser"]),
    "an origin that is an address": line(roles=["browser"], origins=[f"{SHOP}/cart"]),
    "an origin of a secret key": line(origins=[SHOP]),
    "a time without offset": line(not_after="2026-03-01T00:00:00"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_keeps_the_keys_there_are_and_says_so(
    file: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry = CollectorRegistry()
    keys = ring(file, registry)
    write(file, broken)
    for _ in range(3):
        admitted(keys, "one", SENDERS, None)
    assert registry.get_sample_value("api_keys_refused") == 1
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert str(file) in record.__dict__["reason"]
    assert json.loads(line())["sha256"] not in caplog.text
    write(file, line("two"))
    admitted(keys, "two", SENDERS, None)
    assert registry.get_sample_value("api_keys_refused") == 0
    assert registry.get_sample_value("api_keys") == 1
    write(file, broken)
    with pytest.raises(BadKeyFile):
        ring(file)


def test_a_file_that_is_gone_or_unreadable_keeps_the_keys_there_are(file: Path) -> None:
    keys = ring(file)
    file.unlink()
    admitted(keys, "one", SENDERS, None)
    file.write_bytes(b"\xff\xfe")
    admitted(keys, "one", SENDERS, None)


def test_a_secret_that_is_mounted_is_read_again_when_its_link_moves(tmp_path: Path) -> None:
    """A kubelet writes a new folder and moves the link `..data` to it."""
    for name, key in (("..1", "one"), ("..2", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys.jsonl").write_text(line(key))
        os.utime(tmp_path / name / "keys.jsonl", (0, 0))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "keys.jsonl").symlink_to("..data/keys.jsonl")
    keys = ring(tmp_path / "keys.jsonl")
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    admitted(keys, "two", SENDERS, None)


def test_the_key_of_the_variable_may_all_but_stand_in_a_page(file: Path) -> None:
    keys = KeyRing("staging", own=SecretStr("own"), source="collector", file=file, clock=lambda: NOW)
    for role in set(Role) - {Role.browser}:
        assert admitted(keys, "own", frozenset({role}), None).source == "collector"
    with pytest.raises(Problem):
        admitted(keys, "own", frozenset({Role.browser}), None)
    keys.clock = lambda: NOW + timedelta(days=10_000)
    admitted(keys, "own", SENDERS, None)
