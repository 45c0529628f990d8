"""Users that a file names, for where no identity provider is: names, roles and hashes of passwords, a line each.

Passwords are hashed by Argon2id (RFC 9106) with OWASP's parameters for a server; the file is read again when it
changes, and one that cannot be read lets nobody in.
"""

import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.chassis.keys import Role

log = logging.getLogger(__name__)

HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
LONGEST_PASSWORD = 256

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$")]


class User(BaseModel):
    """One line of the file; the name is also who asked for a pull request, so it is that of the forge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    roles: frozenset[Role] = Field(min_length=1)
    password: str = Field(pattern=r"^\$argon2id\$")

    @classmethod
    def with_password(cls, name: str, roles: frozenset[Role]) -> tuple["User", str]:
        """A user and a new password, which is nowhere else."""
        password = secrets.token_urlsafe(18)
        return cls(name=name, roles=roles, password=HASHER.hash(password)), password


class Users:
    """The users of a file.

    Args:
        file: Its path; without one there are none.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._seen: tuple[int, int, int] | None = None
        self._users: Mapping[str, User] = {}
        self._turn = CapacityLimiter(1)  # a check takes 19 MiB and some 20 ms
        self._nobody = HASHER.hash(secrets.token_urlsafe(18))

    def find(self, name: str) -> User | None:
        """The user of this name, as the file has it now."""
        self._read_again()
        return self._users.get(name)

    async def admitted(self, name: str, password: str) -> User | None:
        """The user whose password it is; the time says nothing of whether there is such a user."""
        user = self.find(name)
        stored = user.password if user else self._nobody
        right = await run_sync(_is_right, stored, password[:LONGEST_PASSWORD], limiter=self._turn)
        return user if right else None

    def _read_again(self) -> None:
        if self._file is None:
            return
        try:
            found = self._file.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen == self._seen:
                return
            lines = self._file.read_text().splitlines()
            users = [User.model_validate_json(line) for line in lines if line.strip()]
        except (OSError, ValueError, ValidationError) as error:
            log.error("users_unreadable", extra={"reason": _reason(error)})  # noqa: TRY400 - a trace would show hashes
            self._users, self._seen = {}, None
            return
        self._users, self._seen = {user.name: user for user in users}, seen


def _is_right(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
