"""What a pull request that is no promotion does to the environments.

It never touches a release. What it does to an environment's manifests, rules or holds is named, so that the owner
can be asked.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.errors import Broken, Refused
from scripts.evidence.rules import BadRules, rules_of, rules_path_of
from scripts.forges.forge import PullRequest
from scripts.history.deployment_history import UN_HOLD
from scripts.history.merge_preview import merged_tree
from scripts.history.repository import TRUNK, Repository
from scripts.manifests.render import NoKustomize, difference, overlays
from scripts.promotion.shown_diff import shown
from scripts.status.report import environments

_RELEASE = re.compile(r"environments/(?P<environment>[^/]+)/(release\.yaml|evidence(/.*)?)")
_UN_HOLD = re.compile(rf"^{UN_HOLD}:\s*(?P<value>\S.*)$", re.MULTILINE | re.IGNORECASE)
_COMMENT_CHARACTERS = 55_000

Render = Callable[[Repository, str, str, str], str]


@dataclass(frozen=True)
class Change:
    """What merging would alter.

    Attributes:
        manifests: Environment to the difference of its rendered manifests, where there is one.
        rules: Environments whose rules of promotion change.
        un_holds: What the trailers of its commits, or of its text, which a squash may make one, lift.
        owners: The environments among all these whose rules need an approval.
    """

    manifests: Mapping[str, str]
    rules: tuple[str, ...]
    un_holds: tuple[str, ...]
    owners: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For a program to read; `comment` is Markdown for the pull request."""
        return {
            "kind": "change",
            "alters": list(self.manifests),
            "alters_rules_of": list(self.rules),
            "lifts": list(self.un_holds),
            "needs_owner_of": list(self.owners),
            "comment": self.comment,
        }

    @property
    def comment(self) -> str:
        """What a reviewer should know, in Markdown."""
        parts = [f"This changes the rules of promotion of {name}." for name in self.rules]
        parts += [f"This lifts the hold of {name}." for name in self.un_holds]
        if not self.manifests:
            return "\n\n".join([*parts, "No environment's rendered manifests change."])
        for diff in shown(self.manifests, _COMMENT_CHARACTERS):
            parts += [diff.note, f"{diff.fence}diff\n{diff.text}\n{diff.fence}"]
        owned = [f"The owner of {name} has to approve this." for name in self.owners]
        return "\n\n".join([*owned, *parts])


def change_of(repository: Repository, pull_request: PullRequest, render: Render = difference) -> Change:
    """What a pull request alters.

    Raises:
        Refused: It touches a release or its evidence, or does not merge.
        Broken: There is no kustomize, or an environment would no longer render.
    """
    paths = touched(repository, pull_request)
    releases = environments_in(paths)
    if releases:
        message = (
            f"touches the release of {releases[0]}; only `promote open` and `promote rollback` change it"
        )
        raise Refused("touches_release", f"#{pull_request.number} {message}")
    after = merged_tree(repository, pull_request.head)
    names = _both(environments, repository, after)
    rendered = dict.fromkeys([*names, *_both(overlays, repository, after)])
    manifests = _differences(render, repository, after, list(rendered))
    rules = tuple(name for name in names if rules_path_of(name) in paths)
    un_holds = _un_holds(repository, pull_request)
    lifted = [
        name for name in names if any("/" not in each or each.startswith(f"{name}/") for each in un_holds)
    ]
    altered = [name for name in rendered if name in {*manifests, *rules, *lifted}]
    owners = tuple(name for name in altered if _is_owned(repository, name))
    return Change(manifests, rules, un_holds, owners)


def touched(repository: Repository, pull_request: PullRequest) -> set[str]:
    """The paths that a pull request changes since it left the trunk."""
    base = repository.text("merge-base", TRUNK, pull_request.head)
    return set(repository.changed_paths(base, pull_request.head))


def environments_in(paths: set[str]) -> list[str]:
    """The environments whose release or evidence is among these paths."""
    return sorted({match["environment"] for path in paths if (match := _RELEASE.fullmatch(path))})


def _both(names: Callable[[Repository, str], list[str]], repository: Repository, after: str) -> list[str]:
    """What a commit names, before and after the merge."""
    return sorted({*names(repository, TRUNK), *names(repository, after)})


def _differences(render: Render, repository: Repository, after: str, names: list[str]) -> dict[str, str]:
    try:
        diffs = {name: render(repository, TRUNK, after, name) for name in names}
    except NoKustomize as error:
        raise Broken(str(error)) from error
    return {name: diff for name, diff in diffs.items() if diff}


def _un_holds(repository: Repository, pull_request: PullRequest) -> tuple[str, ...]:
    commits = repository.commits(f"{TRUNK}..{pull_request.head}")
    texts = [pull_request.body, *(commit.message for commit in commits)]
    return tuple(
        dict.fromkeys(match["value"].split()[0] for text in texts for match in _UN_HOLD.finditer(text))
    )


def _is_owned(repository: Repository, environment: str) -> bool:
    """Whether somebody has to be asked; also where the trunk's rules cannot be read."""
    try:
        return rules_of(repository, environment, TRUNK).needs_approval
    except BadRules:
        return True
