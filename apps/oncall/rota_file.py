"""The rota's YAML file: read whole or refused, and read again when it changes."""

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from apps.chassis.problems import field_path, shown
from apps.chassis.settings import BadSettings
from apps.oncall.rota import Rota

log = logging.getLogger(__name__)


class BadRota(BadSettings):
    """The file cannot be used; the text names each place, what stands there and the way out."""


class _NoKeyTwice(yaml.SafeLoader):
    """YAML takes the last of two equal keys without a word, and with it somebody leaves the rota."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        keys = Counter(self.construct_object(key, deep=deep) for key, _ in node.value)
        for key, count in keys.items():
            if count > 1:
                line = node.start_mark.line + 1
                raise yaml.YAMLError(f"{key!r} stands twice below line {line}; remove one")
        return super().construct_mapping(node, deep)


def read_rota(file: Path) -> Rota:
    """The file, checked.

    Raises:
        BadRota: It cannot be read or says something that cannot be.
    """
    try:
        written = yaml.load(file.read_text(encoding="utf-8"), _NoKeyTwice)  # noqa: S506 - it is a SafeLoader
        return Rota.model_validate(written)
    except ValidationError as error:
        raise BadRota("; ".join(_sentence(each) for each in error.errors(include_url=False))) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadRota(f"the rota {str(file)!r} cannot be read ({' '.join(str(error).split())})") from None


def _sentence(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    whole = not error["loc"] or error["type"] == "missing" or isinstance(error["input"], dict)
    got = "" if whole else f", got {shown(error['input'])}"
    return f"{field_path(error['loc'])}: {message}{got}" if error["loc"] else message


class RotaFile:
    """The rota in use: a file that changes is read at its next use, and while it is wrong the one before stays.

    Args:
        file: Where it is.
        refused: Told, at each reading, what is wrong with the file, or None.

    Raises:
        BadRota: The file cannot be used at the start.
    """

    def __init__(self, file: Path, refused: Callable[[str | None], None] = lambda _: None) -> None:
        self._file, self._refused = file, refused
        self._seen = self._text()
        self._rota = read_rota(file)
        refused(None)

    def current(self) -> Rota:
        """The newest that could be used."""
        if (text := self._text()) != self._seen:
            self._seen = text
            try:
                self._rota = read_rota(self._file)
                self._refused(None)
            except BadRota as error:
                log.warning("rota_refused", extra={"reason": str(error)})
                self._refused(str(error))
        return self._rota

    def _text(self) -> bytes | None:
        try:
            return self._file.read_bytes()
        except OSError:
            return None
