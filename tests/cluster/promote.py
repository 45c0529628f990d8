"""`python -m scripts.promote` as the story runs it: against the forge, the registries and the pods of the bed."""

import io
import json
import os
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from scripts.outside import Outside
from scripts.promote import main
from scripts.release_file import Release
from tests.cluster.bed import Bed
from tests.cluster.models import Models
from tests.cluster.repository import PROMOTER, GiteaRepository
from tests.scripts.watched import MemoryMetrics

ASKER = "jane"


class Clock:
    """The time of day, moved ahead by whole soaks."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        """Now, with what was skipped."""
        return datetime.now(UTC) + self._ahead

    def skip(self, minutes: float) -> None:
        """Let time pass at once."""
        self._ahead += timedelta(minutes=minutes)


@dataclass
class Promote:
    """The command line with a clock that can be moved, and a Prometheus that saw what the story told it."""

    bed: Bed
    repository: GiteaRepository
    models: Models
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.metrics = MemoryMetrics(self.clock)

    def watch(self, namespace: str, release: Release) -> None:
        """From now on Prometheus sees this release in the namespace's pods."""
        self.metrics.serve(namespace, release, self.clock())

    def __call__(self, verb: str, *arguments: str) -> dict[str, Any]:
        """The answer of a verb that says yes."""
        code, answer = self.ask(verb, *arguments)
        assert code == 0, answer
        return answer

    def refused(self, verb: str, *arguments: str) -> str:
        """The reason of a verb that says no."""
        code, answer = self.ask(verb, *arguments)
        assert code == 1, answer
        return str(answer.get("reason"))

    def ask(self, verb: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Exit code and answer."""
        url = self.repository.url.removesuffix(".git")
        forge = ["--forge", "gitea", "--repository", url, "--account", PROMOTER, "--requested-by", ASKER]
        watched = ["--prometheus", "http://prometheus.invalid"] if verb in {"open", "plan"} else []
        token = {"PROMOTE_TOKEN": self.bed.tokens[PROMOTER]}
        outside = Outside(metrics=self._metrics, clock=self.clock)
        with patch.dict(os.environ, self.models.variables | token), redirect_stdout(io.StringIO()) as out:
            code = main([verb, *forge, *watched, *arguments], outside)
        answer: dict[str, Any] = json.loads(out.getvalue())
        return code, answer

    @property
    def _metrics(self) -> Callable[[str], MemoryMetrics]:
        return lambda _: self.metrics
