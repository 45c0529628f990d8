"""A pseudonym is the same for the same id and key, and says nothing without the key."""

import hashlib
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.pseudonym import (
    BadPseudonymKey,
    is_pseudonym,
    key_id,
    made_with,
    pseudonym,
    pseudonymised,
    read_key,
)
from tests.ml.test_events import event

KEY, OTHER = b"k" * 32, b"o" * 32


def hmac_sha256(key: bytes, text: bytes) -> str:
    """RFC 2104 written out, for keys of up to one block."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + text).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()


@given(st.text(max_size=50), st.sampled_from(["customer_id", "session_id"]))
def test_it_is_the_keyed_hash_of_field_and_id(text: str, field: str) -> None:
    digest = hmac_sha256(KEY, f"{field}:{text}".encode())
    assert pseudonym(text, KEY, field) == f"p1-{hmac_sha256(KEY, b'key')[:8]}-{digest[:32]}"


def test_pseudonyms_are_pinned() -> None:
    """A release that hashes otherwise would make strangers of all customers."""
    assert pseudonym("13085", KEY) == "p1-b07074b7-c4e1680a12ac277fe0e9f5184919fc60"


def test_key_field_and_id_each_change_it() -> None:
    one = pseudonym("13085", KEY)
    others = {pseudonym("13085", OTHER), pseudonym("13085", KEY, "session_id"), pseudonym("13086", KEY)}
    assert one not in others
    assert len(others) == 3


def test_what_was_hashed_is_not_hashed_again_by_any_key() -> None:
    once = pseudonym("13085", KEY)
    assert pseudonym(once, KEY) == pseudonym(once, OTHER, "session_id") == once
    assert is_pseudonym(once)
    assert is_pseudonym(None)
    assert not is_pseudonym("13085")
    assert not is_pseudonym(f"{once}x")


def test_it_names_its_key() -> None:
    once = pseudonym("13085", KEY)
    assert once.split("-")[1] == key_id(KEY)
    assert made_with(once, KEY)
    assert not made_with(once, OTHER)
    assert not made_with("13085", KEY)


def test_of_an_event_only_the_personal_fields_change() -> None:
    sent = event(customer_id="ali@shop.example", session_id="abc")
    kept = pseudonymised(sent, KEY)
    assert kept.customer_id == pseudonym("ali@shop.example", KEY)
    assert kept.session_id == pseudonym("abc", KEY, "session_id")
    unchanged = {"customer_id", "session_id"}
    assert kept.model_dump(exclude=unchanged) == sent.model_dump(exclude=unchanged)
    nobody = event(customer_id=None, session_id=None)
    assert pseudonymised(nobody, KEY) is nobody


def test_a_given_key_comes_before_a_file_and_that_before_the_default(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{'f' * 32}\n")
    default = tmp_path / "default"
    assert read_key(f" {'g' * 32}\n", file, default) == b"g" * 32
    assert read_key(None, file, default) == b"f" * 32
    assert not default.exists()


def test_a_default_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    default = tmp_path / "state" / "pseudonym.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: read_key(None, None, default), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    assert stat.S_IMODE(default.stat().st_mode) == 0o600
    assert list(default.parent.iterdir()) == [default]


@pytest.mark.parametrize("text", ["", "short", "31" * 15])
def test_a_short_key_is_refused_and_not_shown(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadPseudonymKey, match="at least 32 are needed") as refusal:
        read_key(text, None)
    assert not text or text not in str(refusal.value)
    (tmp_path / "key").write_text(text)
    with pytest.raises(BadPseudonymKey, match="at least 32 are needed"):
        read_key(None, tmp_path / "key")


def test_a_named_file_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(BadPseudonymKey, match="cannot be read"):
        read_key(None, tmp_path / "missing", tmp_path / "default")
    with pytest.raises(BadPseudonymKey, match="no pseudonym key is set"):
        read_key(None, None)
    (tmp_path / "file").write_text("a file where the folder should be")
    with pytest.raises(BadPseudonymKey, match="cannot be made"):
        read_key(None, None, tmp_path / "file" / "key")
