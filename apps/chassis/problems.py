"""Error answers as RFC 9457 problem details, one shape for every service and every status."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import Response

from apps.chassis.request_id import current_request_id
from ml.errors import without_passwords

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:purchase-prediction:"
SHOWN_VALUE_CHARACTERS = 80
RETRY_AFTER_SECONDS = 5


class Problem(HTTPException):
    """A refusal that a service answers with `status`.

    It is an `HTTPException` because the framework hands only those through while it reads a body.

    Args:
        status: HTTP status, 400 or more.
        name: Stable machine-readable name in kebab case, for example `batch-too-large`.
        detail: One sentence for a person: the offending value and the way out.
        headers: Extra response headers, for example `Retry-After`.
        errors: One entry per refused field, `{"field": ..., "reason": ...}`.
    """

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(status, detail, headers)
        self.name = name
        self.errors = [dict(error) for error in errors]

    def response(self) -> Response:
        """The `application/problem+json` answer with the request id in it."""
        body: dict[str, object] = {
            "type": TYPE_PREFIX + self.name,
            "title": HTTPStatus(self.status_code).phrase,
            "status": self.status_code,
            "detail": self.detail,
            "request_id": current_request_id(),
        }
        if self.errors:
            body["errors"] = self.errors
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        return Response(content, self.status_code, headers=self.headers, media_type=MEDIA_TYPE)


def unavailable(name: str, detail: str) -> Problem:
    """The 503 answer for something that is expected to come back, with a time to try again."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, name, detail, headers=headers)


def shown(value: object) -> str:
    """`value` for an error text, without a URL's password, cut so that a caller cannot fill answers and logs."""
    text = without_passwords(repr(value))
    return text if len(text) <= SHOWN_VALUE_CHARACTERS else text[: SHOWN_VALUE_CHARACTERS - 1] + "…"


def field_path(location: Sequence[int | str]) -> str:
    """The name of a field as its sender wrote it: `months[2]`, `economics.margin_share`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path or "body"


def field_errors(errors: Sequence[Mapping[str, object]], skip: int = 0) -> list[dict[str, str]]:
    """Pydantic's errors as `{"field", "reason"}`; `skip` drops leading location parts such as `body`."""
    return [
        {
            "field": field_path(tuple(error["loc"])[skip:]),  # type: ignore[arg-type]
            "reason": f"{error['msg']} (got {shown(error.get('input'))})",
        }
        for error in errors
    ]


def invalid_fields(errors: Sequence[Mapping[str, object]], skip: int = 0) -> Problem:
    """The 422 answer that names every refused field with the value it had."""
    fields = field_errors(errors, skip)
    detail = "; ".join(f"{field['field']}: {field['reason']}" for field in fields[:3])
    more = len(fields) - 3
    return _invalid(detail + (f"; and {more} more" if more > 0 else ""), fields)


def refused_field(field: str, reason: str) -> Problem:
    """The 422 answer for one field that is well formed and still not acceptable."""
    return _invalid(f"{field}: {reason}", [{"field": field, "reason": reason}])


def _invalid(detail: str, errors: Sequence[Mapping[str, str]]) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail, errors=errors)
