"""The one table from refusals of `ml` to HTTP statuses, and the handlers that apply it."""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from apps.chassis.problems import Problem, invalid_fields, unavailable
from ml.errors import (
    BadCustomer,
    BadEvents,
    BadKeepFile,
    BadPanel,
    BadQuestion,
    BundleRefused,
    IdConflict,
    ImpossibleEconomics,
    LakeMoved,
    MlError,
    ModelNotFound,
    NoDemand,
    NotEnoughHistory,
    PartsMissing,
    PictureNotDrawn,
    QualityGateFailed,
    SnapshotNotFound,
    StoreUnavailable,
    UnknownDataVersion,
    UnknownProduct,
    VersionGone,
)

log = logging.getLogger(__name__)

STATUS: Mapping[type[MlError], HTTPStatus] = MappingProxyType(
    {
        BadEvents: HTTPStatus.UNPROCESSABLE_ENTITY,
        BadPanel: HTTPStatus.UNPROCESSABLE_ENTITY,
        BadKeepFile: HTTPStatus.UNPROCESSABLE_ENTITY,
        BadCustomer: HTTPStatus.UNPROCESSABLE_ENTITY,
        BadQuestion: HTTPStatus.UNPROCESSABLE_ENTITY,
        PartsMissing: HTTPStatus.UNPROCESSABLE_ENTITY,
        QualityGateFailed: HTTPStatus.UNPROCESSABLE_ENTITY,
        NotEnoughHistory: HTTPStatus.UNPROCESSABLE_ENTITY,
        ImpossibleEconomics: HTTPStatus.UNPROCESSABLE_ENTITY,
        NoDemand: HTTPStatus.UNPROCESSABLE_ENTITY,
        UnknownProduct: HTTPStatus.NOT_FOUND,
        UnknownDataVersion: HTTPStatus.NOT_FOUND,
        VersionGone: HTTPStatus.GONE,
        IdConflict: HTTPStatus.CONFLICT,
        StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
        LakeMoved: HTTPStatus.SERVICE_UNAVAILABLE,
        PictureNotDrawn: HTTPStatus.SERVICE_UNAVAILABLE,
        ModelNotFound: HTTPStatus.SERVICE_UNAVAILABLE,
        SnapshotNotFound: HTTPStatus.SERVICE_UNAVAILABLE,
        BundleRefused: HTTPStatus.SERVICE_UNAVAILABLE,
        MlError: HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)

_FRAMEWORK_DETAIL = MappingProxyType(
    {
        HTTPStatus.NOT_FOUND: "no such path; /openapi.json lists what this service answers",
        HTTPStatus.METHOD_NOT_ALLOWED: "not with that method; the Allow header has those it takes",
    }
)


def problem_name(error: type[Exception]) -> str:
    """The stable name of an error class: `UnknownProduct` -> `unknown-product`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", error.__name__).lower()


def problem_of(error: MlError) -> Problem:
    """The answer to an expected refusal; its own text is the detail, a 503 says when to come back."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    name = problem_name(type(error))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return unavailable(name, str(error))
    return Problem(status, name, str(error))


def unexpected() -> Problem:
    """The answer to a defect: nothing of its inside, only the id to look up in the log."""
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal-error",
        "the service failed in a way it did not expect; its log has the request_id of this answer",
    )


def add_handlers(app: FastAPI) -> None:
    """Every error leaves `app` as a problem detail."""

    async def on_problem(_: Request, error: Problem) -> Response:
        return error.response()

    async def on_refusal(_: Request, error: MlError) -> Response:
        log.info("refused", extra={"refusal": type(error).__name__, "reason": str(error)})
        return problem_of(error).response()

    async def on_invalid(_: Request, error: RequestValidationError) -> Response:
        return invalid_fields(error.errors(), skip=1).response()

    async def on_http(_: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        detail = _FRAMEWORK_DETAIL.get(status, str(error.detail))
        name = status.phrase.lower().replace(" ", "-")
        return Problem(status, name, detail, headers=error.headers).response()

    app.exception_handler(Problem)(on_problem)
    app.exception_handler(MlError)(on_refusal)
    app.exception_handler(RequestValidationError)(on_invalid)
    app.exception_handler(HTTPException)(on_http)
