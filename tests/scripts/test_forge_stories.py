"""The stories of promotion, told to GitHub and Gitea as they are told to the local forge.

The forges are fakes with real branches. `tests/cluster` tells them to a real Gitea, so that one's fake has its turn in
the soak.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.forges.gitea import GiteaForge
from scripts.forges.github import GitHubForge
from scripts.forges.transport import ForgeHttp, Patience
from tests.scripts import test_check, test_merging, test_promotion, test_rollback
from tests.scripts.fake_forge import NAME, OWNER, TOKENS, FakeForge
from tests.scripts.github_description import replayed
from tests.scripts.served_forge import SHAPES
from tests.scripts.world import World

ADAPTERS = {"github": GitHubForge, "gitea": GiteaForge}

Story = Callable[[World], None]
STORIES: tuple[Story, ...] = (
    test_check.test_opening_again_tells_anew_what_has_changed_unless_it_is_approved,
    test_promotion.test_a_promotion_is_one_commit_of_the_release_lines_and_one_evidence_file,
    test_promotion.test_a_newer_candidate_supersedes_the_open_one_with_a_link,
    test_promotion.test_what_was_superseded_may_come_again,
    test_promotion.test_an_approved_one_is_never_overwritten,
    test_promotion.test_one_that_a_person_closed_is_a_rejection_until_a_commit_lifts_it,
    test_merging.test_merging_again_says_the_same,
    test_rollback.test_the_tool_and_a_plain_revert_restore_the_same_bytes,
)


class PeoplesForge:
    """An adapter with what the stories ask of the local forge; Git goes to the folder behind the fake."""

    def __init__(self, fake: FakeForge, remote: str, login: str) -> None:
        token = next(token for token, name in TOKENS.items() if name == login)
        http = ForgeHttp(
            fake.url + fake.prefix(), {"Authorization": f"x {token}"}, token, Patience(sleep=lambda _: None)
        )
        self._adapter = ADAPTERS[fake.kind](http, f"{OWNER}/{NAME}", remote, token, "nobody")
        self._fake = fake

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def acting_as(self, login: str) -> "PeoplesForge":
        return PeoplesForge(self._fake, self._adapter.remote, login)

    def comments(self, number: int) -> list[dict[str, str]]:
        return [{"text": each.body} for each in self._fake.comments if each.number == number]


@pytest.fixture(
    params=[
        pytest.param(shape, id=shape.kind, marks=[pytest.mark.soak] * (shape.kind == "gitea"))
        for shape in SHAPES
    ]
)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    fake: FakeForge = request.param(made.forge.directory, made.tick)
    with fake.served():
        made.forge = PeoplesForge(fake, made.forge.remote, "promoter")  # type: ignore[assignment]
        yield made
    if fake.kind == "github":
        for exchange in fake.exchanges:
            assert exchange.status >= 400 or replayed(exchange)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_story_is_that_of_the_local_forge(world: World, story: Story) -> None:
    story(world)
