"""The forge's side of an audit: which pull request each commit of the trunk was the merge of."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from scripts.forges.forge import Forge, PullRequest
from scripts.history.git import Commit
from scripts.history.repository import TRUNK, Repository
from scripts.promotion.proposal import PROMOTION, ROLLBACK, branches_of

_NUMBER = re.compile(r"#(\d+)")


@dataclass(frozen=True)
class Pulls:
    """Merged pull requests, and what an environment's own ones look like.

    `ours` are all that were ever proposed for the environment by promote; who approved is known of those in
    `merged_as`.
    """

    merged_as: dict[str, PullRequest] = field(default_factory=dict)
    ours: dict[int, PullRequest] = field(default_factory=dict)

    @classmethod
    def of(cls, forge: Forge, environment: str, commits: Iterable[str]) -> "Pulls":
        """Asked in two questions: all of them, then the people of those that became one of these commits."""
        start = tuple(branches_of(environment, kind) for kind in (PROMOTION, ROLLBACK))
        listed = forge.pull_requests("", people_of_ended=False)
        merged = {each.merge_commit: each for each in listed if each.merge_commit}
        merged |= {
            each.merge_commit: each for each in listed if each.merge_commit and each.branch.startswith(start)
        }
        wanted = {merged[commit].number: commit for commit in commits if commit in merged}
        branches = {merged[commit].branch for commit in wanted.values()}
        with_people = forge.pull_requests(*branches) if branches else []
        return cls(
            {wanted[each.number]: each for each in with_people if each.number in wanted},
            {each.number: each for each in listed if each.branch.startswith(start)},
        )

    def named_by(self, commit: Commit) -> PullRequest | None:
        """The environment's pull request that a commit says it is the merge of."""
        match = _NUMBER.fullmatch(commit.trailer("Pull-Request") or "")
        return self.ours.get(int(match[1])) if match else None

    def gone(self, repository: Repository, trunk: str) -> list[PullRequest]:
        """Those of the environment that were merged as a commit that the trunk no longer holds."""
        merged = [each for each in self.ours.values() if each.merge_commit]
        missing = _off(repository, trunk, merged)
        if missing:  # perhaps merged since the copy was made
            repository.fetch()
            missing = _off(repository, TRUNK, missing)
        return missing


def _off(repository: Repository, trunk: str, merged: Iterable[PullRequest]) -> list[PullRequest]:
    line = frozenset(repository.text("rev-list", "--first-parent", trunk).split())
    return [each for each in merged if each.merge_commit not in line]
