"""What is read of the answers of GitHub and Gitea, whose shapes are nearly the same."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, TypeVar

import httpx
from pydantic import AliasChoices, BaseModel, Field, TypeAdapter, ValidationError

from scripts.errors import Broken

Answer = TypeVar("Answer", bound=BaseModel)


class User(BaseModel):
    """Somebody on the forge; the account of a deleted person is missing."""

    login: str


class Repo(BaseModel):
    """A repository, by its owner and name."""

    full_name: str


class Side(BaseModel):
    """A branch of a pull request; the repository is None when a fork was deleted."""

    label: str | None
    ref: str
    sha: str
    repo: Repo | None


class Pull(BaseModel):
    """A pull request; `merge_commit_sha` counts only when it is merged."""

    number: int
    html_url: str
    title: str
    body: str | None
    user: User | None
    state: Literal["open", "closed"]
    head: Side
    base: Side
    merged_at: datetime | None
    closed_at: datetime | None
    merge_commit_sha: str | None

    @property
    def is_fork(self) -> bool:
        """Whether it comes from another repository than the one it is for."""
        return self.head.repo is None or self.base.repo is None or self.head.repo != self.base.repo


class Review(BaseModel):
    """A review. Gitea says stale, dismissed and official; GitHub how the author belongs to the repository."""

    id: int
    user: User | None
    state: str
    commit_id: str | None
    stale: bool = False
    dismissed: bool = False
    official: bool = False
    author_association: str = "NONE"


class Comment(BaseModel):
    """A comment on a pull request."""

    id: int
    user: User | None
    body: str | None = None


class TimelineEntry(BaseModel):
    """Something that happened to a pull request on Gitea."""

    type: str
    user: User | None
    created_at: datetime


class Issue(BaseModel):
    """The other face of a pull request on GitHub, which knows who closed it."""

    closed_by: User | None = None


class Merge(BaseModel):
    """What GitHub says of a merge it made."""

    sha: str


class Branch(BaseModel):
    """A branch; its commit is a `sha` on GitHub and an `id` on Gitea."""

    class Commit(BaseModel):
        """What it points at."""

        id: str = Field(validation_alias=AliasChoices("sha", "id"))

    commit: Commit


class Ref(BaseModel):
    """A Git ref on Gitea."""

    class Target(BaseModel):
        """What it points at."""

        sha: str

    ref: str
    object: Target


def parsed(kind: type[Answer], answer: httpx.Response) -> Answer:
    """An answer as what it has to be.

    Raises:
        Broken: It is something else, for example a proxy's page.
    """
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        raise _unreadable(kind.__name__.lower(), error) from None


def rows_in(answer: httpx.Response) -> list[Any]:
    """The rows of a list, of which Gitea says null when there are none.

    Raises:
        Broken: It is something else.
    """
    try:
        return TypeAdapter(list[Any] | None).validate_json(answer.content) or []
    except ValidationError as error:
        raise _unreadable("list", error) from None


def listed(kind: type[Answer], rows: Iterable[Any]) -> list[Answer]:
    """Rows of a list as what they have to be."""
    try:
        return TypeAdapter(list[kind]).validate_python(list(rows))  # type: ignore[valid-type]
    except ValidationError as error:
        raise _unreadable(kind.__name__.lower(), error) from None


def _unreadable(what: str, error: ValidationError) -> Broken:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "the answer"
    return Broken(f"the forge's {what} cannot be read: {where}: {first['msg']}")
