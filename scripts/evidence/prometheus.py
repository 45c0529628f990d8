"""Questions to Prometheus (HTTP API v1) whose answers decide: anything but a whole, finite one is refused."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, StrictFloat, StrictInt, StrictStr, ValidationError

from scripts.errors import Refused

_TIMEOUT_SECONDS = 10.0
_QUOTED_CHARACTERS = 200
_SAME_TIME_SECONDS = 1.0

Stamp = StrictInt | StrictFloat


class NotMeasured(Refused):
    """Prometheus gave no answer that can be relied on."""

    def __init__(self, reason: str, problem: str, query: str) -> None:
        super().__init__(f"metrics_{reason}", f"Prometheus {problem}; asked was {query}")


@dataclass(frozen=True)
class Series:
    """One series of an answer; `points` are (Unix seconds, value), every value finite, at least one."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        """The newest value."""
        return self.points[-1][1]


class Metrics(Protocol):
    """Where measurements are."""

    def now(self) -> datetime:
        """What time it is there, aware."""

    def vector(self, query: str, at: datetime, /) -> tuple[Series, ...]:
        """The value of an expression at a time, one point per series."""

    def matrix(self, query: str, at: datetime, /) -> tuple[Series, ...]:
        """The samples of a range selector such as `up[5m]` that ends at a time, as they were scraped."""


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)

    metric: dict[StrictStr, StrictStr]
    value: tuple[Stamp, StrictStr] | None = None
    values: tuple[tuple[Stamp, StrictStr], ...] = ()

    @property
    def points(self) -> tuple[tuple[Stamp, str], ...]:
        return self.values if self.value is None else (self.value,)


class _Scalar(BaseModel):
    resultType: Literal["scalar"]  # noqa: N815 - Prometheus' name
    result: tuple[Stamp, StrictStr]


class _Vector(BaseModel):
    resultType: Literal["vector", "matrix"]  # noqa: N815
    result: tuple[_Result, ...]


class _Answer(BaseModel):
    status: StrictStr
    data: _Scalar | _Vector | None = None
    error: StrictStr = ""
    warnings: tuple[StrictStr, ...] | None = None


class Prometheus:
    """One server. Every method raises `NotMeasured`, with a reason, for every answer that is not a good one."""

    def __init__(
        self, url: str, token: str | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
            raise Refused(
                "bad_prometheus", "the address of Prometheus is no http(s) URL without user and password"
            )
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(
            base_url=url,
            timeout=_TIMEOUT_SECONDS,
            headers=headers,
            limits=httpx.Limits(max_keepalive_connections=0),
            transport=transport,
        )

    def now(self) -> datetime:
        """The server's clock."""
        query = "time()"
        data = self._data(query, {})
        if not isinstance(data, _Scalar):
            raise NotMeasured("shape", f"answers with a {data.resultType}, not a number", query)
        return datetime.fromtimestamp(_finite(data.result[1], query), UTC)

    def vector(self, query: str, at: datetime, /) -> tuple[Series, ...]:
        """The value of an expression at a time; an answer for another time is refused, an empty one too."""
        found = self._series(query, at, "vector")
        for series in found:
            if abs(series.points[0][0] - at.timestamp()) > _SAME_TIME_SECONDS:
                raise NotMeasured("other_time", f"answers for another time than {at.isoformat()}", query)
        return found

    def matrix(self, query: str, at: datetime, /) -> tuple[Series, ...]:
        """The samples in a range that ends at a time."""
        found = self._series(query, at, "matrix")
        if any(time > at.timestamp() for series in found for time, _ in series.points):
            raise NotMeasured("other_time", f"answers with samples after {at.isoformat()}", query)
        return found

    def _series(self, query: str, at: datetime, kind: str) -> tuple[Series, ...]:
        data = self._data(query, {"time": f"{at.timestamp():.3f}"})
        if not isinstance(data, _Vector) or data.resultType != kind:
            raise NotMeasured("shape", f"answers with a {data.resultType}, not a {kind}", query)
        if not data.result:
            raise NotMeasured("empty", "has no series for it", query)
        if any(not result.points for result in data.result):
            raise NotMeasured("shape", "answers with a series without a value", query)
        return tuple(
            Series(result.metric, tuple((float(time), _finite(text, query)) for time, text in result.points))
            for result in data.result
        )

    def _data(self, query: str, parameters: Mapping[str, str]) -> _Scalar | _Vector:
        document = self._asked(query, parameters)
        try:
            answer = _Answer.model_validate(document)
        except ValidationError as error:
            where = ".".join(map(str, error.errors(include_url=False)[0]["loc"])) or "its start"
            raise NotMeasured("shape", f"answers in another shape, at {where}", query) from None
        if answer.status != "success":
            raise NotMeasured("error", f"answers {answer.status}: {_short(answer.error)}", query)
        if answer.warnings:
            raise NotMeasured("warning", f"warns that {_short(answer.warnings[0])}", query)
        if answer.data is None:
            raise NotMeasured("shape", "answers without data", query)
        return answer.data

    def _asked(self, query: str, parameters: Mapping[str, str]) -> Any:
        try:
            answer = self._client.get("/api/v1/query", params={"query": query, **parameters})
        except httpx.TimeoutException:
            raise NotMeasured("timeout", f"did not answer in {_TIMEOUT_SECONDS:g} s", query) from None
        except httpx.ConnectError:
            raise NotMeasured("unreachable", "cannot be reached", query) from None
        except httpx.HTTPError as error:
            raise NotMeasured("broken_off", f"broke off: {type(error).__name__}", query) from None
        if answer.is_redirect:
            raise NotMeasured("redirect", f"answers {answer.status_code}, go elsewhere", query)
        try:
            document = answer.json()
        except ValueError:
            problem = f"answers {answer.status_code} with something that is not JSON"
            raise NotMeasured("status" if answer.is_error else "not_json", problem, query) from None
        if answer.status_code != httpx.codes.OK:
            said = document.get("error", "") if isinstance(document, dict) else ""
            raise NotMeasured("status", f"answers {answer.status_code}: {_short(str(said))}", query)
        return document


def _finite(text: str, query: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise NotMeasured("shape", f"answers with {_short(text)!r} for a number", query) from None
    if not math.isfinite(value):
        raise NotMeasured("not_finite", f"answers {text}", query)
    return value


def _short(text: str) -> str:
    return " ".join(text.split())[:_QUOTED_CHARACTERS] or "nothing more"
