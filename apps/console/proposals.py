"""Asks for a pull request, in a process of its own that is ended when it takes too long; one at a time."""

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

from apps.console.settings import ConsoleSettings
from apps.console.sign_in import Person
from scripts.release_file import Release

MODULE = "apps.console.propose"
_NO, _YES = 1, 0


@dataclass(frozen=True)
class Outcome:
    """What came of it: the number of a pull request, or one sentence on why there is none.

    `refused` tells a no, which asking again does not change, from something that broke. `action` is `opened`, `found`
    for one that was there already, or `live` where the release runs already.
    """

    action: str = ""
    pull_request: int | None = None
    reason: str = ""
    error: str = ""
    refused: bool = False


class Proposals:
    """Opens pull requests for people who are signed in; who they are stands in the commit, the author is the console.

    Args:
        settings: Where the forge, the models and the metrics are.
        module: What is run.
    """

    def __init__(self, settings: ConsoleSettings, module: str = MODULE) -> None:
        self._settings, self._module = settings, module
        self._turn = asyncio.Lock()

    @property
    def possible(self) -> bool:
        """Whether there is a forge to open them on."""
        return self._settings.forge is not None

    async def roll_back(self, person: Person, reason: str, of: Release) -> Outcome:
        """Propose the release before `of`, which must still be live."""
        return await self._asked(kind="rollback", requested_by=person.name, reason=reason, of=of.model_dump())

    async def promote(self, person: Person, model: str | None, image_tag: str | None) -> Outcome:
        """Propose a model, an image or both; where there is a source environment, what that runs."""
        return await self._asked(kind="promotion", requested_by=person.name, model=model, image_tag=image_tag)

    async def _asked(self, **wanted: Any) -> Outcome:
        settings = self._settings
        token = settings.forge_token
        sent = wanted | {
            "environment": settings.environment,
            "forge": settings.forge,
            "forge_kind": settings.forge_kind,
            "forge_account": settings.forge_account,
            "forge_token": token.get_secret_value() if token else None,
            "model_store": settings.model_store,
            "model_registry": settings.model_registry,
            "prometheus_url": settings.prometheus_url,
        }
        async with self._turn:
            return await self._run(json.dumps(sent).encode())

    async def _run(self, sent: bytes) -> Outcome:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self._module, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(self._settings.propose_seconds):
                said, _ = await process.communicate(sent)
        except TimeoutError:
            return Outcome(
                reason="slow",
                error=f"not done after {self._settings.propose_seconds:g} s; asking again goes on where it ended",
            )
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        try:
            told: dict[str, Any] = json.loads(said)
        except ValueError:
            return Outcome(reason="broke", error=f"it ended with {process.returncode} and said nothing")
        return Outcome(
            action=told.get("action", ""),
            pull_request=told.get("pull_request"),
            reason=told.get("reason", ""),
            error=told.get("error", ""),
            refused=process.returncode == _NO,
        )
