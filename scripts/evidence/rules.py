"""The conditions of an environment's promotions, as data in Git: `environments/<environment>/promotion.yaml`.

They are read from the trunk, never from a proposal, so that no promotion can loosen what it is judged by.
"""

from pathlib import PurePosixPath
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    model_validator,
)

from scripts.errors import Refused
from scripts.history.git import Git
from scripts.release_file import environment_name

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Positive = Annotated[FiniteFloat, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Limits(_Strict):
    """What the source environment must have kept to during the soak.

    Attributes:
        p95_seconds: Of the time to answer, over all requests that are not probes or scrapes.
        error_share: Of those requests, how many may end with a status of 500 or above.
        min_requests: With fewer the other numbers say nothing.
        available_share: Of the scrapes of its pods, how many must have been answered.
        longest_gap_seconds: Between two observations of the release; with a longer one nobody knows.
        clock_skew_seconds: Between this machine and Prometheus.
    """

    p95_seconds: Positive
    error_share: Share
    min_requests: Annotated[int, Field(ge=1)]
    available_share: Share
    longest_gap_seconds: Positive = 90.0
    clock_skew_seconds: Positive = 30.0


class Rules(_Strict):
    """What a promotion into one environment needs.

    Attributes:
        source: The environment whose release is promoted; None where any model and image may be proposed.
        soak_minutes: How long the source must have run it healthily.
        limits: What the source must have kept to meanwhile.
        needs_approval: Somebody who is not the asker approves before the merge.
        images: Every image of the release must be in its registry.
        signatures: Every image must be signed by one of `policies/signatures`; files from before this was asked say no.
    """

    source: Annotated[str, AfterValidator(environment_name)] | None = None
    soak_minutes: Positive = 60.0
    limits: Limits | None = None
    needs_approval: bool
    images: bool
    signatures: bool = False

    @model_validator(mode="after")
    def _what_belongs_together(self) -> Self:
        if (self.source is None) != (self.limits is None):
            raise ValueError("source and limits come together: limits say how the source must have behaved")
        if self.signatures and not self.images:
            raise ValueError("signatures are of images, so they need `images: true`")
        return self

    @property
    def soak_seconds(self) -> float:
        """The soak in seconds."""
        return self.soak_minutes * 60


class BadRules(Refused):
    """The rules of an environment are missing or cannot be read without guessing."""

    def __init__(self, environment: str, problem: str) -> None:
        super().__init__("bad_rules", f"{rules_path_of(environment)} {problem}")


def rules_path_of(environment: str) -> str:
    """Where the rules of an environment stand in the repository."""
    return str(PurePosixPath("environments", environment_name(environment), "promotion.yaml"))


def rules_of(git: Git, environment: str, commit: str) -> Rules:
    """The rules of an environment at a commit, which should be the trunk.

    Raises:
        BadRules: There are none, or they are not YAML, or have an unknown key, one twice, or a value out of
            its range.
    """
    data = git.read(commit, rules_path_of(environment))
    if data is None:
        raise BadRules(environment, "is not on the trunk; without it nothing is promoted there")
    return parse_rules(data, environment)


def parse_rules(data: bytes, environment: str) -> Rules:
    """The rules in a file's bytes; `BadRules` when they cannot be read without guessing."""
    try:
        rules = Rules.model_validate(yaml.load(data.decode(), _UniqueKeys))  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadRules(environment, f"is not YAML: {' '.join(str(error).split())}") from None
    except Refused as refusal:
        raise BadRules(environment, f"names no source: {refusal}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "its start"
        raise BadRules(environment, f"cannot be read at {where}: {first['msg']}") from None
    if rules.source == environment:
        raise BadRules(environment, f"names {environment} as its own source")
    return rules


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - as its base
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for index, key in enumerate(keys) if key in keys[:index]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)
