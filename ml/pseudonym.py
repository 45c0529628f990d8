"""Ids that can name a person, replaced by a keyed hash before anything is stored.

HMAC-SHA256 (RFC 2104), cut to 128 bits: who has the key gets from an id to its pseudonym, nobody gets back, and who
has no key cannot try guesses, which a plain hash of a customer number allows. The same id and key give the same
pseudonym, so counts of buyers and duplicates stay what they are. It is pseudonymous, not anonymous data: with the key
a known customer is found again, which erasure needs.
"""

import hmac
import os
import re
import secrets
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from ml.errors import MlError
from ml.events import Event

PERSONAL: Final = ("customer_id", "session_id")
"""Fields of an event that can name a person. A session id is an online identifier, and often a live login."""

KEY_FILE: Final = "pseudonym.key"
MIN_KEY_BYTES: Final = 32
_FORM: Final = re.compile(r"p1-[0-9a-f]{8}-[0-9a-f]{32}")


class BadPseudonymKey(MlError):
    """The key of the pseudonyms is missing or too short; the text never shows it."""


def pseudonym(text: str, key: bytes, field: str = "customer_id") -> str:
    """The 44 characters that stand for an id: `p1-`, 8 hex digits that name the key, 32 of the keyed hash.

    A pseudonym, of whatever key, is its own pseudonym, so what was hashed is not hashed again. The same text has
    other pseudonyms in other fields.
    """
    if _FORM.fullmatch(text):
        return text
    return f"p1-{key_id(key)}-{_digest(key, f'{field}:{text}')[:32]}"


@lru_cache(maxsize=8)
def key_id(key: bytes) -> str:
    """The 8 hex digits by which a pseudonym says which key made it; they tell nothing of the key."""
    return _digest(key, "key")[:8]


def is_pseudonym(text: str | None) -> bool:
    """Whether there is nothing to hide in a value of `PERSONAL`."""
    return text is None or _FORM.fullmatch(text) is not None


def made_with(text: str, key: bytes) -> bool:
    """Whether a stored id is a pseudonym of this key."""
    return is_pseudonym(text) and text.split("-")[1] == key_id(key)


def pseudonyms(event: Event, key: bytes) -> dict[str, str]:
    """What stands for the values in the event's fields of `PERSONAL`, of those that have one."""
    fields = event.__dict__
    return {name: pseudonym(text, key, name) for name in PERSONAL if (text := fields[name]) is not None}


def pseudonymised(event: Event, key: bytes) -> Event:
    """The event with pseudonyms in the fields of `PERSONAL`."""
    hidden = pseudonyms(event, key)
    return event.model_copy(update=hidden) if hidden else event


def read_key(given: str | None, file: Path | None, default: Path | None = None) -> bytes:
    """The key as it was given, else that of `file`, else that of `default`, which is made when it is missing.

    Raises:
        BadPseudonymKey: There is none, it cannot be read, or it has less than `MIN_KEY_BYTES`.
    """
    if given is not None:
        return _checked(given, "the pseudonym key")
    if file is not None:
        return _read(file)
    if default is None:
        raise BadPseudonymKey(
            "no pseudonym key is set; name a key or a file of one, see docs/data-collection.md"
        )
    if not default.exists():
        _make(default)
    return _read(default)


def _digest(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


def _read(file: Path) -> bytes:
    try:
        return _checked(file.read_text(encoding="utf-8"), f"the pseudonym key in {str(file)!r}")
    except (OSError, UnicodeDecodeError) as error:
        raise BadPseudonymKey(
            f"the pseudonym key in {str(file)!r} cannot be read ({type(error).__name__})"
        ) from None


def _checked(text: str, name: str) -> bytes:
    key = text.strip().encode()
    if len(key) < MIN_KEY_BYTES:
        raise BadPseudonymKey(
            f"{name} has {len(key)} bytes, at least {MIN_KEY_BYTES} are needed; `openssl rand -hex 32` makes one"
        )
    return key


def _make(file: Path) -> None:
    """A new random key, readable by its owner alone; of processes that make it at once the first one wins."""
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(unfinished, "x", opener=_private, encoding="utf-8") as out:
            out.write(f"{secrets.token_hex(MIN_KEY_BYTES)}\n")
            out.flush()
            os.fsync(out.fileno())
        _link(unfinished, file)
    except OSError as error:
        raise BadPseudonymKey(f"the pseudonym key {str(file)!r} cannot be made ({error.strerror})") from None
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _link(unfinished: Path, file: Path) -> None:
    """Give the finished file its name, unless another process was first."""
    with suppress(FileExistsError):
        file.hardlink_to(unfinished)
