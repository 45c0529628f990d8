"""Where an inbox is: a SQLite file, or a PostgreSQL database by a URL that holds no password."""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BeforeValidator, SecretStr

_SCHEMES: Final = ("postgresql", "postgres")
_OPTIONS: Final = {"sslmode", "sslrootcert"}
_TLS: Final = ("disable", "verify-full")


@dataclass(frozen=True)
class DatabaseUrl:
    """A PostgreSQL database; its text, as settings and errors show it, has nothing secret.

    Attributes:
        sslmode: `disable`, or `verify-full`: TLS, and the server's certificate names its host.
        sslrootcert: File of the certificates to trust; None takes those of the system.
    """

    host: str
    port: int
    database: str
    user: str
    sslmode: str = "disable"
    sslrootcert: str | None = None

    def __str__(self) -> str:
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.database}"

    def tls(self) -> ssl.SSLContext | None:
        """What to check the server with, None without TLS."""
        return None if self.sslmode == "disable" else ssl.create_default_context(cafile=self.sslrootcert)


def inbox_location(place: object) -> Path | DatabaseUrl:
    """An absolute path, or the database of `postgresql://USER@HOST[:PORT]/DATABASE`.

    The options `sslmode` and `sslrootcert` have libpq's meaning, of the modes `disable` (default) and `verify-full`.

    Raises:
        ValueError: A URL of another kind, or one with a password, which the text does not repeat.
    """
    if isinstance(place, DatabaseUrl):
        return place
    if "://" not in str(place):
        return Path(str(place)).absolute()
    parts = urlsplit(str(place))
    if parts.password is not None:
        raise ValueError(
            "the URL holds a password; give it by the variable that ends with INBOX_PASSWORD or _FILE"
        )
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    database = unquote(parts.path.strip("/"))
    if parts.scheme not in _SCHEMES or not (parts.username and parts.hostname and database):
        raise ValueError("is not a path and not postgresql://USER@HOST[:PORT]/DATABASE")
    _refuse_unknown(options.keys() - _OPTIONS, "option", sorted(_OPTIONS))
    _refuse_unknown({options.get("sslmode", "disable")} - set(_TLS), "sslmode", _TLS)
    return DatabaseUrl(parts.hostname, parts.port or 5432, database, unquote(parts.username), **options)


def _refuse_unknown(unknown: Iterable[str], what: str, known: Iterable[str]) -> None:
    for name in sorted(unknown):
        raise ValueError(f"knows no {what} {name!r}, only {', '.join(known)}")


@dataclass(frozen=True)
class Password:
    """A password by reference; a file is read at each use, so that a new one needs no restart."""

    value: SecretStr | None = None
    file: Path | None = None

    def read(self) -> str | None:
        """The password, None when neither place has one.

        Raises:
            OSError: The file cannot be read.
        """
        if self.file is not None:
            return self.file.read_text().strip()
        return None if self.value is None else self.value.get_secret_value()


InboxLocation = Annotated[Path | DatabaseUrl, BeforeValidator(inbox_location)]
"""A setting that names a SQLite file (made absolute) or a PostgreSQL database."""
