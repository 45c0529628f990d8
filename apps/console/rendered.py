"""How a release changed the manifests that the cluster gets, rendered once and kept."""

import subprocess
from collections import OrderedDict
from functools import partial
from pathlib import Path

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from apps.console.kept import Kept, Memory
from scripts.errors import Broken
from scripts.history.git import Git
from scripts.manifests.render import NoKustomize, difference
from scripts.promotion.shown_diff import ShownDiff, shown

MOST_KEPT = 200
MOST_CHARACTERS = 40_000


class RenderedDiffs:
    """Differences of an environment's rendered manifests, by commit, with secrets hidden."""

    def __init__(self, repository: Path, environment: str, memory: Memory) -> None:
        self._git, self._environment = Git(repository), environment
        self._kept: OrderedDict[str, ShownDiff] = OrderedDict()
        self._turn, self._memory = CapacityLimiter(1), memory  # kustomize takes a processor

    async def of(self, commit: str) -> Kept[ShownDiff]:
        """What a commit on the trunk changed, once it is rendered; nothing while a page does not wait any longer."""
        if commit in self._kept:
            return Kept.now(self._kept[commit])
        return await self._memory.ask(("diff", commit), partial(self._made, commit))

    async def _made(self, commit: str) -> ShownDiff:
        """The difference, or a sentence where nothing could be rendered."""
        try:
            self._kept[commit] = await run_sync(self._render, commit, limiter=self._turn)
        except NoKustomize:
            return shown(None, 0)[0]
        except (Broken, subprocess.TimeoutExpired) as error:
            return ShownDiff(str(error)[:500])
        made = self._kept[commit]
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return made

    def _render(self, commit: str) -> ShownDiff:
        diff = difference(self._git, f"{commit}^", commit, self._environment)
        return shown({self._environment: diff}, MOST_CHARACTERS)[0]
