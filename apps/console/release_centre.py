"""What is open, held and soaking, the DORA figures and the audit.

All of it is asked for beside the pages, which show the last answer and its age.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from apps.console.kept import Kept
from apps.console.settings import ConsoleSettings
from ml.errors import MlError
from scripts.audit.environment import audit
from scripts.audit.report import AuditReport
from scripts.errors import Broken
from scripts.evidence.release_source import Source, source_of
from scripts.evidence.rules import rules_of
from scripts.forges.by_address import forge_at
from scripts.forges.forge import Forge, PullRequest
from scripts.forges.transport import Patience
from scripts.history import deployment_history
from scripts.history.deployment_history import Hold
from scripts.history.git import Git
from scripts.history.repository import TRUNK, Repository
from scripts.promotion.proposal import open_proposals
from scripts.release_file import Release
from scripts.status.dora import environment_metrics

log = logging.getLogger(__name__)

ACCOUNTS_SECONDS = 300.0
"""How often DORA figures and audit are made anew while the trunk stands still; approvals and comments may change."""
_PATIENCE = Patience(tries=2, longest_wait_seconds=5.0, timeout_seconds=5.0)

Value = TypeVar("Value")


def asked(kept: Kept[Value], question: Callable[[], Value]) -> Kept[Value]:
    """What is known after asking again; an answer that does not come leaves the last one."""
    try:
        return Kept.now(question())
    except (MlError, Broken, OSError) as error:
        return kept.without(str(error))


@dataclass(frozen=True)
class SoakState:
    """What the source of promotions runs, and how much of its soak has passed since Git says so."""

    source: Source
    soak_minutes: float

    def minutes(self, now: datetime) -> float:
        """Since the source was given it."""
        return (now - self.source.commit.at).total_seconds() / 60


@dataclass(frozen=True)
class Standing:
    """What Git alone says of an environment: the holds, what a rollback would restore, and the source of promotions."""

    live: Release | None
    back_to: Release | None
    holds: tuple[Hold, ...]
    needs_approval: bool
    soak: SoakState | None


@dataclass
class Centre:
    """All of it."""

    standing: Kept[Standing] = field(default_factory=Kept)
    proposals: Kept[list[PullRequest]] = field(default_factory=Kept)
    dora: Kept[dict[str, Any]] = field(default_factory=Kept)
    audit: Kept[AuditReport] = field(default_factory=Kept)


class ReleaseCentre:
    """Keeps `now` up to date, and the mirror of a forge of the network."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings, self._environment = settings, settings.environment
        self._turn = CapacityLimiter(1)
        self._forge: Forge | None = None
        self._accounted: tuple[str, datetime] | None = None
        self._stood: tuple[str, Standing] | None = None
        self.now = Centre()

    async def keep(self) -> None:
        """Ask again and again until it is cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._settings.refresh_seconds)

    async def refresh(self) -> None:
        """Ask once; nothing is raised for what does not answer."""
        try:
            await run_sync(self._refresh, limiter=self._turn)
        except Exception:
            log.exception("release centre")

    def _refresh(self) -> None:
        now = self.now
        now.proposals = asked(now.proposals, lambda: open_proposals(self._connected(), self._environment))
        if self._is_mirror and now.proposals.problem is None:
            now.proposals = asked(now.proposals, lambda: self._mirrored(now.proposals.value or []))
        git = Git(self._settings.repository)
        if not self._settings.repository.is_dir():
            now.standing = now.standing.without(f"{self._settings.repository} is not there")
            return
        now.standing = asked(now.standing, lambda: self._standing(git))
        if now.standing.problem is None:
            self._account(git)

    @property
    def _is_mirror(self) -> bool:
        return "://" in (self._settings.forge or "")

    def _connected(self) -> Forge:
        if self._settings.forge is None:
            raise Broken("no forge is set, so nothing is known of pull requests and none can be opened")
        if self._forge is None:
            token = self._settings.forge_token
            self._forge = forge_at(
                self._settings.forge,
                kind=self._settings.forge_kind,
                account=self._settings.forge_account,
                token=token.get_secret_value() if token else None,
                patience=_PATIENCE,
            )
        return self._forge

    def _mirrored(self, proposals: list[PullRequest]) -> list[PullRequest]:
        """The same pull requests, once the mirror was brought up to date."""
        forge, folder = self._connected(), self._settings.repository
        if (folder / "HEAD").is_file():
            mirror = Repository(folder, forge.remote, forge.git_environment)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            mirror = Repository(folder, forge.remote, forge.git_environment)
            mirror.run("init", "--quiet", "--bare", "--template=", ".")
        mirror.fetch()
        return proposals

    def _standing(self, git: Git) -> Standing:
        head = git.commit(TRUNK).id
        if (
            self._stood is None or self._stood[0] != head
        ):  # all of it is in Git, and a long history takes a second
            self._stood = (head, self._standing_at(git, head))
        return self._stood[1]

    def _standing_at(self, git: Git, head: str) -> Standing:
        history = deployment_history.read(git, self._environment, head)
        undone = history.to_revert()
        rules = rules_of(git, self._environment, head)
        soak = SoakState(source_of(git, rules.source), rules.soak_minutes) if rules.source else None
        return Standing(
            live=history.live.after if history.live else None,
            back_to=undone[-1].before if undone else None,
            holds=tuple(history.holds),
            needs_approval=rules.needs_approval,
            soak=soak,
        )

    def _account(self, git: Git) -> None:
        """DORA and audit: when the trunk moved, else now and then."""
        head, moment = git.commit(TRUNK).id, datetime.now(UTC)
        if self._accounted is not None:
            known, at = self._accounted
            if known == head and (moment - at).total_seconds() < ACCOUNTS_SECONDS:
                return
        self.now.dora = asked(
            self.now.dora, lambda: environment_metrics(git, self._environment, head, None, moment)["all"]
        )
        self.now.audit = asked(self.now.audit, lambda: audit(self._connected(), self._environment))
        self._accounted = (head, moment)
