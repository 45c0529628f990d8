"""Whose signature counts on an image: read from the rule by which the cluster lets images in, so both ask the same.

`policies/signatures/images.yaml` is Kyverno's ImageValidatingPolicy. Of it only what is understood here may be there,
so that an option that loosens the check on the cluster cannot be overlooked by the one before the merge.
"""

import re
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import (
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from scripts.errors import Refused
from scripts.history.git import Git

PATH: Final = "policies/signatures/images.yaml"

Text = Annotated[str, StringConstraints(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Identity(_Strict):
    """A workflow as its OIDC provider names it, word for word."""

    issuer: Text
    subject: Text


class _Keyless(_Strict):
    identities: Annotated[list[Identity], Field(min_length=1)]


class _Key(_Strict):
    data: Text


class _Log(_Strict):
    url: Text = ""
    insecure_ignore_tlog: bool = Field(default=False, alias="insecureIgnoreTlog")


class Cosign(_Strict):
    """Who must have signed: one of some workflows, by short-lived certificate and public log, or who has a key."""

    keyless: _Keyless | None = None
    key: _Key | None = None
    ctlog: _Log = _Log()

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.keyless is None) == (self.key is None):
            raise ValueError("an attestor is keyless or has a key")
        if self.keyless and self.ctlog.insecure_ignore_tlog:
            raise ValueError("without the log nobody knows when a short-lived certificate signed")
        return self

    @property
    def identities(self) -> tuple[Identity, ...]:
        """The workflows; none where a key signs."""
        return tuple(self.keyless.identities) if self.keyless else ()


class Attestor(_Strict):
    """One signer by name."""

    name: Text
    cosign: Cosign


class _Glob(_Strict):
    glob: Text


class Signers(BaseModel):
    """Which images have to be signed, and by whom: one of these is enough."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    kind: Literal["ImageValidatingPolicy"]
    actions: list[Literal["Deny"]] = Field(validation_alias=AliasPath("spec", "validationActions"))
    globs: list[_Glob] = Field(validation_alias=AliasPath("spec", "matchImageReferences"))
    attestors: Annotated[list[Attestor], Field(min_length=1)] = Field(
        validation_alias=AliasPath("spec", "attestors")
    )

    def cover(self, image: str) -> bool:
        """Whether the rule speaks of an image, given with its tag; `*` stands for anything."""
        parts = (map(re.escape, each.glob.split("*")) for each in self.globs)
        return any(re.fullmatch(".*".join(each), image) for each in parts)


def signers_of(git: Git, commit: str) -> Signers:
    """The signers at a commit, which should be the trunk.

    Raises:
        Refused: The rule is not there, or says something that is not understood here.
    """
    data = git.read(commit, PATH)
    if data is None:
        raise Refused("no_signers", f"{PATH} is not on the trunk, so nobody's signature on an image counts")
    return parse_signers(data)


def parse_signers(data: bytes) -> Signers:
    """The signers in a rule's bytes; `Refused` when something in it is not understood here."""
    try:
        document: Any = yaml.safe_load(data.decode())
        return Signers.model_validate(document)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused("bad_signers", f"{PATH} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "its start"
        raise Refused("bad_signers", f"{PATH} cannot be read at {where}: {first['msg']}") from None
