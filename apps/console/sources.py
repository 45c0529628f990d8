"""What stands around the services: each is asked on its own clock, and pages only read what it said last."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import httpx
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from pydantic import ValidationError

from apps.chassis.outgoing import Caller
from apps.chassis.problems import Problem, unavailable
from apps.console import argo, firing
from apps.console.argo import Synced
from apps.console.deployments import Release
from apps.console.figures import Figures, measured
from apps.console.firing import Firing
from apps.console.git_history import GitHistory
from apps.console.kept import Kept, Memory, Question, Unanswered
from apps.console.model_registry import ModelRegistry
from apps.console.registered import Registered, registered
from apps.console.services import Services, ServiceState
from apps.console.settings import ConsoleSettings
from apps.forecast.schemas import DriftReport, EvaluationReport, ModelInfo, QualityReport
from ml.errors import MlError
from ml.model_store import DRIFT_PICTURE, EVALUATION, ModelStore
from scripts.evidence.prometheus import Prometheus

Value = TypeVar("Value")
Given = tuple[Synced, Release | None]

STATES_SECONDS = 5.0


@dataclass(frozen=True)
class Around:
    """What the sources said last.

    Attributes:
        argo: By environment, with the release of the commit that was synced.
        evaluation: How past forecasts did.
    """

    states: Kept[list[ServiceState]]
    figures: Kept[Figures]
    firing: Kept[Firing]
    argo: Kept[Mapping[str, Given]]
    registered: Kept[Registered]
    evaluation: Kept[EvaluationReport]


class Sources:
    """Asks them all."""

    def __init__(
        self, settings: ConsoleSettings, services: Services, git: GitHistory, memory: Memory
    ) -> None:
        self._settings, self._services, self._git, self._memory = settings, services, git, memory
        self._client = Caller(timeout=settings.timeout_seconds, trust_env=False)
        self._turns = {
            name: CapacityLimiter(1) for name in ("figures", "registered", "evaluation", "pictures")
        }
        self._metrics = Prometheus(settings.prometheus_url, None) if settings.prometheus_url else None
        store = settings.model_store
        self._store = ModelStore(store if "://" in store else Path(store)) if store else None
        self._registry = ModelRegistry(settings.model_registry) if settings.model_registry else None

    async def keep(self) -> None:
        """Ask again and again until it is cancelled."""
        seconds = self._settings.refresh_seconds
        often = min(seconds, STATES_SECONDS)
        clocks: tuple[tuple[str, Question[Any], float], ...] = (
            ("states", self._services.states, often),
            ("warm", self._warm, often),
            ("figures", self._figures, seconds),
            ("firing", self._firing, seconds),
            ("argo", self._argo, seconds),
            ("registered", self._registered, seconds),
            ("evaluation", self._evaluation, seconds),
        )
        try:
            async with asyncio.TaskGroup() as group:
                for name, question, every in clocks:
                    group.create_task(self._memory.keep(name, question, every))
        finally:
            await self._client.aclose()

    async def last(self) -> Around:
        """What each said last."""
        names = Around.__dataclass_fields__
        return Around(*await asyncio.gather(*(self._memory.last(name) for name in names)))

    @property
    def has_store(self) -> bool:
        """Whether there is a place where pictures may be."""
        return self._store is not None

    async def drift_picture(self) -> bytes:
        """Evidently's picture of the newest month.

        Raises:
            Problem: 404, none was drawn; 503, the store does not answer.
        """
        store = self._store
        try:
            data = await self._beside("pictures", lambda: store.report(DRIFT_PICTURE)) if store else None
        except Unanswered as error:
            raise unavailable("no-picture", str(error)) from None
        if data is None:
            why = "no picture was drawn; `python -m ml drift --report` draws one"
            raise Problem(HTTPStatus.NOT_FOUND, "no-picture", why)
        return data

    async def _warm(self) -> None:
        """What pages ask the services for themselves, so that there is a last answer when one is away."""
        get = partial(self._services.get, "forecast")
        await asyncio.gather(
            self._git.read(),
            get("/model-info", ModelInfo),
            get("/drift", DriftReport),
            get("/data-quality", QualityReport),
        )

    async def _figures(self) -> Figures:
        metrics = self._metrics
        if metrics is None:
            raise Unanswered("no Prometheus is set")
        return await self._beside(
            "figures", lambda: measured(metrics, self._settings.environment, datetime.now(UTC))
        )

    async def _firing(self) -> Firing:
        if self._settings.alertmanager_url is None:
            raise Unanswered("no Alertmanager is set")
        found = await self._asked(self._settings.alertmanager_url, firing.PATH, "Alertmanager", firing.ASKED)
        return firing.firing(
            _read(firing.Alerts.validate_json, found, "Alertmanager"), self._settings.environment
        )

    async def _argo(self) -> Mapping[str, Given]:
        token = self._settings.argo_token
        if self._settings.argo_url is None or token is None:
            raise Unanswered("no Argo CD is set")
        found = await self._asked(
            self._settings.argo_url,
            argo.PATH,
            "Argo CD",
            {"fields": argo.FIELDS},
            {"Authorization": f"Bearer {token.get_secret_value()}"},
        )
        applications = argo.synced(_read(argo.Applications.model_validate_json, found, "Argo CD"))
        named = [(each.commit, each.environment) for each in applications if each.commit]
        releases = dict(zip(named, await self._git.releases_at(named), strict=True))
        return {
            each.environment: (each, releases.get((each.commit or "", each.environment)))
            for each in applications
        }

    async def _registered(self) -> Registered:
        registry = self._registry
        if registry is None:
            raise Unanswered("no model registry is set")
        known = self._memory.peek("registered").value
        return await self._beside("registered", lambda: registered(registry, known))

    async def _evaluation(self) -> EvaluationReport:
        store = self._store
        if store is None:
            raise Unanswered("no model store is set")
        data = await self._beside("evaluation", lambda: store.report(EVALUATION))
        if data is None:
            raise Unanswered("nothing was judged yet; run `python -m ml evaluate`")
        return _read(EvaluationReport.model_validate_json, data, "the evaluation")

    async def _beside(self, name: str, question: Callable[[], Value]) -> Value:
        """The answer of something that blocks; one that hangs does not keep the process from ending."""
        try:
            return await run_sync(question, limiter=self._turns[name], abandon_on_cancel=True)
        except (MlError, OSError, httpx.HTTPError) as error:
            raise Unanswered(str(error)) from None

    async def _asked(
        self,
        url: str,
        path: str,
        name: str,
        parameters: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                found = await self._client.get(url.rstrip("/") + path, params=parameters, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise Unanswered(f"{name} does not answer ({type(error).__name__})") from None
        if found.status_code != HTTPStatus.OK:
            raise Unanswered(f"{name} answered {found.status_code}")
        return found.content


def _read(read: Callable[[bytes], Value], data: bytes, name: str) -> Value:
    try:
        return read(data)
    except ValidationError:
        raise Unanswered(f"{name} answered in a form this console cannot read") from None
