"""A pull request beside the trunk that it is judged against, and what both kinds of proposals have to keep to."""

from dataclasses import dataclass

from scripts.check.not_as_promised import NotAsPromised, refuse_other
from scripts.evidence.rules import Rules, rules_of
from scripts.forges.forge import PullRequest
from scripts.history import deployment_history
from scripts.history.git import Commit
from scripts.history.repository import TRUNK, Repository
from scripts.promotion.bridge import Bridge
from scripts.promotion.proposal import Proposal
from scripts.promotion.shown_text import first_difference
from scripts.release_file import Release, edit, parse, path_of

_PLAIN_FILE = "100644 "


@dataclass(frozen=True)
class Case:
    """A pull request, its commit, and what it is judged by."""

    bridge: Bridge
    repository: Repository
    pull_request: PullRequest
    commit: Commit
    environment: str
    file: bytes
    release: Release
    rules: Rules

    @property
    def number(self) -> int:
        """Of the pull request."""
        return self.pull_request.number


def case_of(bridge: Bridge, repository: Repository, pull_request: PullRequest, environment: str) -> Case:
    """A pull request beside the trunk of now.

    Raises:
        Refused: Its head is not on its branch, or it changes more of the release file than values.
    """
    number = pull_request.number
    if repository.ref(f"refs/heads/{pull_request.branch}") != pull_request.head:
        raise NotAsPromised(
            number, f"has head {pull_request.head[:12]}, which is not the branch's; check again"
        )
    commit = repository.commit(pull_request.head)
    file = deployment_history.live_file(repository, environment, TRUNK)
    proposed = repository.read(commit.id, path_of(environment)) or b""
    release = parse(proposed)
    if edit(file, release) != proposed:
        raise NotAsPromised(number, "changes more than the values of the release, or is stale")
    rules = rules_of(repository, environment, TRUNK)
    return Case(bridge, repository, pull_request, commit, environment, file, release, rules)


def check_paths(case: Case, allowed: set[str]) -> None:
    """One commit, of plain files, these and no others."""
    base = case.repository.text("merge-base", TRUNK, case.commit.id)
    count = case.repository.text("rev-list", "--count", f"{base}..{case.commit.id}")
    if count != "1":
        raise NotAsPromised(case.number, f"has {count} commits, promote writes one")
    touched = case.repository.changed_paths(base, case.commit.id)
    odd = min(set(touched) ^ allowed, default=None)
    if odd:
        raise NotAsPromised(case.number, f"{'touches' if odd in touched else 'does not touch'} {odd}")
    for path, (_, after) in touched.items():
        if after is None or not after.startswith(_PLAIN_FILE):
            raise NotAsPromised(case.number, f"makes {path} something else than a plain file")


def compare(case: Case, written: Proposal) -> None:
    """Trailers, title and text against what promote writes."""
    refuse_other(case.number, _trailers(case.commit, written))
    refuse_other(case.number, {"title": (case.pull_request.title, written.title)})
    difference = first_difference(case.pull_request.body, written.body(case.commit.id))
    if difference:
        shown, wanted = difference
        message = f"shows {shown!r:.200} where promote writes {wanted!r:.200}"
        raise NotAsPromised(case.number, f"{message}; open it again, an approved one after dismissing that")


def _trailers(commit: Commit, written: Proposal) -> dict[str, tuple[object, object]]:
    """Every trailer of the commit against that of the proposal; none may be missing and none be there besides."""
    wanted = Commit(commit.id, commit.at, written.message)
    lines = [*_last_paragraph(wanted), *_last_paragraph(commit)]
    keys = dict.fromkeys(line.partition(":")[0] for line in lines)
    return {f"trailer {key}": (commit.trailers(key), wanted.trailers(key)) for key in keys}


def _last_paragraph(commit: Commit) -> list[str]:
    return commit.message.strip().split("\n\n")[-1].splitlines()
