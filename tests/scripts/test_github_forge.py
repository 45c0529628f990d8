"""GitHub as a forge: against a fake whose requests and answers are held against GitHub's published description."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from scripts.forges.github import API_VERSION
from tests.scripts.fake_forge import Exchange
from tests.scripts.fake_github import FakeGitHub
from tests.scripts.forge_contract import *  # noqa: F403 - the tests that every forge passes
from tests.scripts.github_description import OPERATIONS, replayed
from tests.scripts.served_forge import BRANCH, Served, served


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Served]:
    with served(FakeGitHub, tmp_path) as found:
        yield found


def whole_story(up: Served) -> None:
    """Every operation once: open, tell anew, approve, comment twice, merge, and another that is closed."""
    forge, head = up.forge(), up.push()
    assert forge.account == "promoter"
    forge.open_pull_request(BRANCH, "title", "body")
    forge.open_pull_request(BRANCH, "title", "body")
    forge.rewrite(1, "title", "text")
    up.forge("approver").approve(1, head)
    forge.comment(1, "diff", "one")
    forge.comment(1, "diff", "two")
    forge.merge(1, head, "local: model 1\n\nWhy.\n")
    up.push("promote/local/2", "y")
    forge.open_pull_request("promote/local/2", "title", "body")
    forge.close(2, "because")
    forge.pull_requests("promote/")


def test_githubs_own_description_has_every_request_and_every_answer(up: Served) -> None:
    whole_story(up)
    done = [each for each in up.fake.exchanges if each.status < 400]
    assert {replayed(each) for each in done} == set(OPERATIONS)


def changed(exchange: Exchange, **more: Any) -> Exchange:
    return replace(exchange, body={**exchange.body, **more})


@pytest.mark.parametrize(
    ("method", "path", "change"),
    [
        ("POST", "/pulls", {"into": "main"}),
        ("POST", "/pulls", {"head": None}),
        ("PUT", "/pulls/1/merge", {"merge_method": "squish"}),
        ("POST", "/pulls/1/reviews", {"event": "APPROVED"}),
        ("PATCH", "/pulls/2", {"state": "merged"}),
        ("POST", "/issues/1/comments", {"text": "x"}),
    ],
)
def test_a_request_that_github_does_not_describe_is_found(
    up: Served, method: str, path: str, change: dict[str, Any]
) -> None:
    """The control of the test above."""
    whole_story(up)
    exchange = next(
        each
        for each in up.fake.exchanges
        if each.method == method and each.path.endswith(path) and each.status < 300
    )
    with pytest.raises((AssertionError, ValidationError)):
        replayed(changed(exchange, **change))


@pytest.mark.parametrize("query", [{"sorted": "created"}, {"per_page": "many"}, {"state": "merged"}])
def test_a_query_that_github_does_not_describe_is_found(up: Served, query: dict[str, str]) -> None:
    up.forge().pull_requests("promote/")
    (exchange,) = up.fake.exchanges
    assert replayed(exchange)
    with pytest.raises((AssertionError, ValidationError)):
        replayed(replace(exchange, query={**exchange.query, **query}))


@pytest.mark.parametrize("field", ["head", "state", "merged_at"])
def test_an_answer_that_github_does_not_describe_is_found(up: Served, field: str) -> None:
    up.push()
    up.forge().open_pull_request(BRANCH, "title", "body")
    (exchange,) = [each for each in up.fake.exchanges if each.method == "POST"]
    assert replayed(exchange)
    answer = {key: value for key, value in exchange.answer.items() if key != field}
    with pytest.raises(ValidationError):
        replayed(replace(exchange, answer=answer))


def test_the_version_that_was_checked_is_asked_for(up: Served) -> None:
    forge = up.forge()
    request = forge.http._client.build_request("GET", "/user")
    assert request.headers["X-GitHub-Api-Version"] == API_VERSION == "2022-11-28"
    assert request.headers["Accept"] == "application/vnd.github+json"


def test_a_pull_request_is_found_by_owner_and_branch(up: Served) -> None:
    """With a bare branch GitHub answers with all that are open."""
    for number in (1, 2, 3):
        up.push(f"promote/local/{number}", str(number))
        up.forge().open_pull_request(f"promote/local/{number}", "title", "body")
    assert up.forge().open_pull_request("promote/local/2", "title", "body").number == 2
    assert up.fake.exchanges[-2].query["head"] == "shop:promote/local/2"


def test_the_approval_of_somebody_from_outside_does_not_count(up: Served) -> None:
    head = up.push()
    up.forge().open_pull_request(BRANCH, "title", "body")
    up.fake.add_review(1, "eve", "APPROVED", head, outsider=True)
    assert up.forge().get(1).approved_by == ()


def test_where_the_token_may_not_ask_who_it_is_the_given_name_counts(up: Served) -> None:
    """The token of a GitHub workflow."""
    up.fake.hidden_user = True
    assert up.forge().account == "github-actions[bot]"


def test_the_commit_that_github_would_merge_on_trial_is_not_shown(up: Served) -> None:
    up.push()
    assert up.forge().open_pull_request(BRANCH, "title", "body").merge_commit is None


def test_a_merge_is_believed_although_the_next_answer_is_behind(
    up: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What GitHub answers to a merge names the commit; a copy that is asked next may not know it yet."""
    head = up.push()
    up.forge().open_pull_request(BRANCH, "title", "body")
    forge = up.forge()
    stale = forge._pull(1)
    monkeypatch.setattr(forge, "_pull", lambda _: stale)
    assert forge.merge(1, head, "title\n\ntext\n") == up.git.text("rev-parse", "main")
    assert [each.path for each in up.fake.exchanges if each.method == "PUT"] == [
        "/repos/shop/environments/pulls/1/merge"
    ]
