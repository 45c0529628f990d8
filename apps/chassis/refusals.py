"""Refusals in the OpenAPI document: problem details, by what a route takes and asks for.

The framework writes down its own form of a 422 and nothing else; no service answers in that form.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from fastapi import FastAPI

from apps.chassis.problems import MEDIA_TYPE

ALWAYS_ANSWERED: Final = frozenset({"/health", "/ready", "/metrics"})
"""They need nothing that can be away; `/ready` has a 503 of its own form."""

_TEXTS: Final = MappingProxyType(
    {
        HTTPStatus.BAD_REQUEST: "The body cannot be read at all.",
        HTTPStatus.UNAUTHORIZED: "No key, an unknown one, or one outside its time.",
        HTTPStatus.FORBIDDEN: "A key of another environment, role or origin.",
        HTTPStatus.NOT_FOUND: "There is no such thing here.",
        HTTPStatus.CONFLICT: "Not as things stand now.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
        HTTPStatus.UNPROCESSABLE_ENTITY: "What was sent breaks the contract; `errors` names each field.",
        HTTPStatus.TOO_MANY_REQUESTS: "More requests than the caller's rate; ask again after Retry-After.",
        HTTPStatus.SERVICE_UNAVAILABLE: "What the answer is made from is away; ask again after Retry-After.",
    }
)
_SCHEMA: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "type": "object",
        "description": "RFC 9457 problem details.",
        "required": ["type", "title", "status", "detail", "request_id"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "request_id": {"type": "string"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "reason"],
                    "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
                },
            },
        },
    }
)
_FRAMEWORKS: Final = ("HTTPValidationError", "ValidationError")


def refusal(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that refuses with these, beyond what can be seen of it."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        int(status): {
            "description": _TEXTS[HTTPStatus(status)],
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def describe_refusals(app: FastAPI) -> None:
    """Let the document of the application name every refusal; it is still made when it is first asked for."""
    made = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    _describe(path, operation)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = dict(_SCHEMA)
            for name in _FRAMEWORKS:
                schemas.pop(name, None)
        return made()

    app.openapi = described  # type: ignore[method-assign]  # the documented way to extend it


def _describe(path: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    if "HTTPValidationError" in str(answers.get("422")):
        del answers["422"]
    for status, answer in refusal(*_seen(path, operation)).items():
        answers.setdefault(str(status), answer)


def _seen(path: str, operation: Mapping[str, Any]) -> Iterator[HTTPStatus]:
    """What a route refuses with, by what it takes and asks for."""
    body = "requestBody" in operation
    if body:
        yield HTTPStatus.BAD_REQUEST
        yield HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if body or "parameters" in operation:
        yield HTTPStatus.UNPROCESSABLE_ENTITY
    if "{" in path:
        yield HTTPStatus.NOT_FOUND
    if "security" in operation:
        yield HTTPStatus.UNAUTHORIZED
        yield HTTPStatus.FORBIDDEN
        yield HTTPStatus.TOO_MANY_REQUESTS
    if path not in ALWAYS_ANSWERED:
        yield HTTPStatus.SERVICE_UNAVAILABLE
