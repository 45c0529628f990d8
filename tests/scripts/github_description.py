"""GitHub's published description of its interface, through the models and the client that are generated from it.

An exchange is replayed by that client: it has to send the very request that we sent, and to accept the answer.
"""

import inspect
import json
import re
import types
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import httpx
from githubkit import GitHub, TokenAuthStrategy
from githubkit_schemas.v2022_11_28 import models
from pydantic import AnyUrl, BaseModel, TypeAdapter

from tests.scripts.fake_forge import NAME, OWNER, Exchange

_AT = datetime(2026, 11, 1, tzinfo=UTC)


def answer_of(kind: type[BaseModel], **known: Any) -> dict[str, Any]:
    """An answer of this kind as JSON: what is known, and something valid for every other required field."""
    unknown = set(known) - {info.alias or name for name, info in kind.model_fields.items()}
    assert not unknown, f"{kind.__name__} has no {unknown}"
    return {**_required(kind), **known}


@cache
def _required(kind: type[BaseModel]) -> dict[str, Any]:
    fields = ((info.alias or name, info) for name, info in kind.model_fields.items())
    return {key: _something(info.annotation) for key, info in fields if info.is_required()}


def _something(annotation: Any) -> Any:
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        return None if type(None) in get_args(annotation) else _something(get_args(annotation)[0])
    if origin is typing.Annotated:
        return _something(get_args(annotation)[0])
    if origin is Literal:
        return get_args(annotation)[0]
    if origin in {list, dict}:
        return origin()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return answer_of(annotation)
    plain = {
        str: "x",
        int: 1,
        bool: False,
        float: 1.0,
        datetime: _AT.isoformat(),
        AnyUrl: "https://x.example/",
    }
    return plain.get(annotation, "x")


def user(login: str | None) -> dict[str, Any] | None:
    """Somebody."""
    return answer_of(models.SimpleUser, login=login) if login else None


Call = Callable[[Any, re.Match[str], Exchange], Any]
_REPO = f"/repos/{OWNER}/{NAME}"


def _in_repo(group: str, name: str) -> Call:
    """The client's method of an operation, called with the numbers and names in the path, query and body."""

    def call(rest: Any, match: re.Match[str], exchange: Exchange) -> Any:
        method = getattr(getattr(rest, group), name)
        parts = [int(part) if part.isdecimal() else part for part in match.groups()]
        unknown = set(exchange.query) - set(method.__annotations__)
        assert not unknown, f"{name} takes no {unknown}"
        wanted = {key: method.__annotations__[key] for key in exchange.query}
        kinds = typing.get_type_hints(
            types.SimpleNamespace(__annotations__=wanted), inspect.unwrap(method).__globals__
        )
        query = {key: TypeAdapter(kinds[key]).validate_python(text) for key, text in exchange.query.items()}
        more = {"data": exchange.body} if exchange.body is not None else {}
        return method(OWNER, NAME, *parts, **query, **more)

    return call


OPERATIONS: dict[str, Call] = {
    r"GET /user": lambda rest, _, __: rest.users.get_authenticated(),
    rf"GET {_REPO}/pulls": _in_repo("pulls", "list"),
    rf"POST {_REPO}/pulls": _in_repo("pulls", "create"),
    rf"GET {_REPO}/pulls/(\d+)": _in_repo("pulls", "get"),
    rf"PATCH {_REPO}/pulls/(\d+)": _in_repo("pulls", "update"),
    rf"PUT {_REPO}/pulls/(\d+)/merge": _in_repo("pulls", "merge"),
    rf"GET {_REPO}/pulls/(\d+)/reviews": _in_repo("pulls", "list_reviews"),
    rf"POST {_REPO}/pulls/(\d+)/reviews": _in_repo("pulls", "create_review"),
    rf"GET {_REPO}/issues/(\d+)": _in_repo("issues", "get"),
    rf"GET {_REPO}/issues/(\d+)/comments": _in_repo("issues", "list_comments"),
    rf"POST {_REPO}/issues/(\d+)/comments": _in_repo("issues", "create_comment"),
    rf"PATCH {_REPO}/issues/comments/(\d+)": _in_repo("issues", "update_comment"),
    rf"GET {_REPO}/branches/(.+)": _in_repo("repos", "get_branch"),
    rf"DELETE {_REPO}/git/refs/(.+)": _in_repo("git", "delete_ref"),
}


def replayed(exchange: Exchange) -> str:
    """Have GitHub's generated client do the same; the operation's pattern comes back.

    Raises:
        AssertionError: It would send another request, or the answer is not as described.
    """
    sent: list[httpx.Request] = []

    def transport(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(exchange.status, content=json.dumps(exchange.answer).encode())

    patterns = [
        pattern for pattern in OPERATIONS if re.fullmatch(pattern, f"{exchange.method} {exchange.path}")
    ]
    assert patterns, f"{exchange.method} {exchange.path} is no operation that we know"
    match = re.fullmatch(patterns[0], f"{exchange.method} {exchange.path}")
    assert match
    github = GitHub(
        TokenAuthStrategy("x"), transport=httpx.MockTransport(transport), auto_retry=False, http_cache=False
    )
    answer = OPERATIONS[patterns[0]](github.rest("2022-11-28"), match, exchange)
    if exchange.status != httpx.codes.NO_CONTENT:
        assert answer.parsed_data is not None
    (request,) = sent
    assert (request.method, request.url.path) == (exchange.method, exchange.path)
    assert dict(request.url.params) == exchange.query
    assert (json.loads(request.content) if request.content else None) == exchange.body
    return patterns[0]
