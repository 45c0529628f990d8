"""The release of an environment: which image and which model run there, and the file that says so.

`environments/<environment>/release.yaml` is a ConfigMap that never reaches a cluster; a Kustomize component
copies its three values into images, pods and workflows. It is edited by line, so a promotion changes one to
three lines and every other byte stays.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scripts.errors import Refused

UNRELEASED = "unreleased"

_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,40}")
_ENTRY = re.compile(
    rb'(?P<before>[ ]+(?P<key>[^\s:#]+):[ ]+")(?P<value>[^"\\]*)(?P<after>"[ \t]*(?:[ \t]#.*)?)'
)
_LOCAL_CONFIG = "config.kubernetes.io/local-config"


class Release(BaseModel):
    """What one environment runs. Version 0 means that no model has been released yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_tag: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
    model_version: Annotated[int, Field(ge=0, lt=10**9)]
    model_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @property
    def name(self) -> str:
        """`<model version>-<image tag>`, the name of its evidence file and of its holds."""
        return f"{self.model_version}-{self.image_tag}"

    @property
    def has_model(self) -> bool:
        """False until the first promotion."""
        return self.model_version > 0


class BadReleaseFile(Refused):
    """A release file that cannot be read without guessing."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__("bad_release_file", f"release file, line {line}: {message}")
        self.line = line


KEYS = tuple(Release.model_fields)


def environment_name(text: str) -> str:
    """The name itself, refused unless it is one plain path segment."""
    if not _ENVIRONMENT.fullmatch(text):
        raise Refused("bad_environment", f"environment {text!r} must match {_ENVIRONMENT.pattern}")
    return text


def path_of(environment: str) -> str:
    """Where the release of an environment stands in the repository."""
    return str(PurePosixPath("environments", environment_name(environment), "release.yaml"))


def evidence_path_of(environment: str, release: Release) -> str:
    """Where the evidence for a release stands in the repository."""
    return f"{evidence_folder_of(environment)}/{release.name}.json"


def evidence_folder_of(environment: str) -> str:
    """Where all evidence of an environment stands in the repository."""
    return str(PurePosixPath("environments", environment_name(environment), "evidence"))


def parse(data: bytes) -> Release:
    """The release in a file's bytes.

    Raises:
        BadReleaseFile: A key is missing, unknown, twice there, not in double quotes or out of its range, or
            YAML reads the file differently than its lines look.
    """
    spans = _spans(data)
    values = {key: data[start:end].decode(errors="replace") for key, (_, start, end) in spans.items()}
    _agree_with_yaml(data, values)
    version = values["model_version"]
    if not version.isascii() or not version.isdecimal() or str(int(version)) != version:
        raise BadReleaseFile(spans["model_version"][0], f'model_version: "{version}" is not a whole number')
    try:
        return Release.model_validate({**values, "model_version": int(version)})
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        raise BadReleaseFile(spans[key][0], f'{key}: "{values[key]}": {error.errors()[0]["msg"]}') from None


def edit(data: bytes, release: Release) -> bytes:
    """The same bytes with the values of `release` in place; lines that need no change keep theirs."""
    parse(data)
    for key, (_, start, end) in sorted(_spans(data).items(), key=lambda item: -item[1][1]):
        data = data[:start] + str(getattr(release, key)).encode() + data[end:]
    return data


def _spans(data: bytes) -> dict[str, tuple[int, int, int]]:
    """Line number, start and end of each value between its quotes."""
    spans: dict[str, tuple[int, int, int]] = {}
    inside, offset, number = False, 0, 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        text = line.rstrip(b"\r\n")
        if inside and text[:1] == b" " and text.strip() and not text.lstrip().startswith(b"#"):
            key, start, end = _entry(number, text)
            if key in spans:
                raise BadReleaseFile(number, f"{key} is there twice, first in line {spans[key][0]}")
            spans[key] = (number, offset + start, offset + end)
        elif text[:1] not in {b" ", b"#", b""}:
            inside = text.split(b"#")[0].rstrip() == b"data:"
        offset += len(line)
    missing = [key for key in KEYS if key not in spans]
    if missing:
        raise BadReleaseFile(number + 1, f'{missing[0]} is missing under data:, write {missing[0]}: "…"')
    return spans


def _entry(number: int, text: bytes) -> tuple[str, int, int]:
    match = _ENTRY.fullmatch(text)
    if match is None:
        shown = text.decode(errors="replace").strip()
        raise BadReleaseFile(number, f'{shown!r} is not of the form key: "value" with double quotes')
    key = match["key"].decode(errors="replace")
    if key not in KEYS:
        raise BadReleaseFile(number, f"{key!r} is none of {', '.join(KEYS)}")
    return key, match.start("value"), match.end("value")


def _agree_with_yaml(data: bytes, values: Mapping[str, str]) -> None:
    """Refuse a file whose meaning in YAML is not what its lines say."""
    try:
        document: Any = yaml.load(data.decode(), yaml.CSafeLoader)  # ten times as quick as safe_load
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise BadReleaseFile(
            mark.line + 1 if mark else 1, f"not YAML: {str(error).splitlines()[0]}"
        ) from None
    if not isinstance(document, dict) or document.get("data") != values:
        raise BadReleaseFile(1, "YAML reads other values than the lines under data: show")
    metadata = document.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if (
        document.get("kind") != "ConfigMap"
        or not isinstance(annotations, dict)
        or annotations.get(_LOCAL_CONFIG) != "true"
    ):
        raise BadReleaseFile(1, f'must be a ConfigMap with the annotation {_LOCAL_CONFIG}: "true"')
