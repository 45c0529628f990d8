"""Gitea as a forge, against a fake that answers as a Gitea 1.26 was seen to; `tests/cluster` asks a real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.errors import Refused
from scripts.forges.forge import MergeRefused
from tests.scripts.fake_gitea import FakeGitea
from tests.scripts.forge_contract import *  # noqa: F403 - the tests that every forge passes
from tests.scripts.served_forge import BRANCH, Served, served


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Served]:
    with served(FakeGitea, tmp_path) as found:
        yield found


def test_a_pull_request_is_found_by_its_bare_branch(up: Served) -> None:
    for number in (1, 2, 3):
        up.push(f"promote/local/{number}", str(number))
        up.forge().open_pull_request(f"promote/local/{number}", "title", "body")
    assert up.forge().open_pull_request("promote/local/2", "title", "body").number == 2


def test_what_ended_keeps_its_head_when_its_branch_is_used_again(up: Served) -> None:
    """Gitea itself shows where the branch is now."""
    first = up.push()
    up.forge().open_pull_request(BRANCH, "title", "body")
    up.forge("bo").close(1, "no")
    second = up.push(text="again\n")
    up.forge().open_pull_request(BRANCH, "title", "body")
    assert [(each.state, each.head) for each in up.forge().pull_requests("promote/")] == [
        ("closed", first),
        ("open", second),
    ]


def test_an_approval_that_gitea_does_not_call_official_does_not_count(up: Served) -> None:
    head = up.push()
    up.forge().open_pull_request(BRANCH, "title", "body")
    up.fake.add_review(1, "eve", "APPROVED", head, outsider=True)
    assert up.forge().get(1).approved_by == ()


def test_a_merge_that_protection_forbids_says_why_at_once(up: Served) -> None:
    assert isinstance(up.fake, FakeGitea)
    up.fake.approvals_needed = 1
    head = up.push()
    up.forge().open_pull_request(BRANCH, "title", "body")
    with pytest.raises(MergeRefused, match="#1 is not merged: Does not have enough approvals"):
        up.forge().merge(1, head, "title")
    assert up.waits == []


def test_a_server_with_small_pages_is_read_to_the_end(up: Served) -> None:
    up.fake.page_cap = 2
    for number in range(5):
        up.push(f"promote/local/{number}", str(number))
        up.forge().open_pull_request(f"promote/local/{number}", "title", "body")
    assert len(up.forge().pull_requests("promote/")) == 5


def test_a_comment_is_not_written_after_a_merge_that_came_first(up: Served) -> None:
    head = up.push()
    up.forge().open_pull_request(BRANCH, "title", "body")
    up.forge().merge(1, head, "title")
    up.forge().close(1, "because")
    assert up.fake.comments == []
    with pytest.raises(Refused, match="has no pull request #7"):
        up.forge().close(7, "because")
