"""What `scripts.forges.forge.Forge` promises, as tests of whatever is served as `up`."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from scripts.errors import Refused
from scripts.forges.forge import BranchGone, MergeRefused
from tests.scripts.served_forge import BRANCH, Served

__all__ = [
    "test_a_branch_that_is_not_there_is_said_so",
    "test_a_comment_with_a_marker_is_replaced_in_place",
    "test_a_fork_is_not_taken_for_a_promotion",
    "test_a_merge_is_one_commit_with_our_message_and_the_same_when_asked_again",
    "test_a_merge_is_refused_when_the_reviewed_head_or_the_trunk_moved",
    "test_a_pull_request_is_told_anew",
    "test_a_pull_request_reads_as_it_is",
    "test_an_approval_is_for_one_commit_and_never_the_authors",
    "test_closing_says_why_once_and_who_closed_is_read",
    "test_every_page_is_read",
    "test_only_the_last_word_of_a_reviewer_counts",
    "test_opening_again_finds_the_same",
    "test_people_of_ended_ones_are_asked_for_only_when_wanted",
    "test_the_branch_of_a_merge_goes_unless_it_was_used_again",
    "test_the_text_of_an_open_one_can_be_told_anew",
]


def opened(up: Served) -> str:
    """The head of #1."""
    head = up.push()
    up.forge().open_pull_request(BRANCH, "title", "body")
    return head


def test_a_pull_request_reads_as_it_is(up: Served) -> None:
    head = opened(up)
    found = up.forge().get(1)
    assert (found.number, found.title, found.body, found.branch) == (1, "title", "body", BRANCH)
    assert (found.head, found.state, found.author) == (head, "open", "promoter")
    assert (found.approved_by, found.closed_by, found.closed_at, found.merge_commit) == ((), None, None, None)
    assert found.url.startswith("http://127.0.0.1")
    assert up.forge().pull_requests("promote/") == [found]
    assert up.forge().pull_requests("rollback/") == up.forge().pull_requests() == []
    with pytest.raises(Refused, match="has no pull request #9"):
        up.forge().get(9)


def test_the_text_of_an_open_one_can_be_told_anew(up: Served) -> None:
    opened(up)
    up.fault("PATCH", r"/pulls/1$", "cut after")
    up.forge().rewrite(1, "another title", "another\ntext")
    found = up.forge().get(1)
    assert (found.title, found.body, found.state) == ("another title", "another\ntext", "open")


def test_a_pull_request_is_told_anew(up: Served) -> None:
    opened(up)
    before = up.forge().get(1)
    up.forge().rewrite(1, "other", "text\nof now")
    assert up.forge().get(1) == replace(before, title="other", body="text\nof now")


def test_opening_again_finds_the_same(up: Served) -> None:
    opened(up)
    again = up.forge("approver").open_pull_request(BRANCH, "other", "text")
    assert (again.number, again.title, len(up.fake.pulls)) == (1, "title", 1)
    up.forge().close(1, "because")
    assert up.forge().open_pull_request(BRANCH, "title", "body").number == 2


def test_a_branch_that_is_not_there_is_said_so(up: Served) -> None:
    with pytest.raises(BranchGone):
        up.forge().open_pull_request("promote/local/none", "title", "body")


def test_every_page_is_read(up: Served) -> None:
    up.fake.page_cap = 3
    for number in range(8):
        up.push(f"promote/local/{number}", str(number))
        up.forge().open_pull_request(f"promote/local/{number}", "title", "body")
    assert [each.number for each in up.forge().pull_requests("promote/")] == list(range(1, 9))
    for number in range(8):
        up.fake.add_comment(1, "bo", str(number))
    up.forge().comment(1, "diff", "one")
    up.forge().comment(1, "diff", "two")
    assert [each.body for each in up.fake.comments][8:] == ["<!-- diff -->\ntwo"]
    head = up.git.text("rev-parse", "promote/local/0")
    for _ in range(5):
        up.fake.add_review(1, "approver", "CHANGES_REQUESTED", head)
    up.fake.add_review(1, "approver", "APPROVED", head)
    assert up.forge().get(1).approved_by == ("approver",)


def test_an_approval_is_for_one_commit_and_never_the_authors(up: Served) -> None:
    head = opened(up)
    up.forge("approver").approve(1, head)
    up.forge("approver").approve(1, head)
    assert [(review.user, review.commit) for review in up.fake.reviews] == [("approver", head)]
    assert up.forge().get(1).approved_by == ("approver",)
    with pytest.raises(Refused, match="promoter is the author of #1"):
        up.forge().approve(1, head)
    newer = up.push(text="newer\n")
    assert up.forge().get(1).approved_by == ()
    with pytest.raises(Refused, match=f"open at {newer[:12]}, not open at {head[:12]}"):
        up.forge("bo").approve(1, head)
    up.fake.add_review(1, "promoter", "APPROVED", newer)
    assert up.forge().get(1).approved_by == ()


def test_only_the_last_word_of_a_reviewer_counts(up: Served) -> None:
    head = opened(up)
    no = "CHANGES_REQUESTED" if up.fake.kind == "github" else "REQUEST_CHANGES"
    comment = "COMMENTED" if up.fake.kind == "github" else "COMMENT"
    for user, words in {"bo": ("APPROVED", no), "cy": (no, "APPROVED", comment), "di": ("APPROVED",)}.items():
        for word in words:
            up.fake.add_review(1, user, word, head)
    assert up.forge().get(1).approved_by == ("cy", "di")
    up.fake.reviews[-1].dismissed = True
    assert up.forge().get(1).approved_by == ("cy",)


def test_closing_says_why_once_and_who_closed_is_read(up: Served) -> None:
    opened(up)
    up.fake.add_comment(1, "bo", "because")  # of somebody else
    before = datetime.now(UTC).replace(microsecond=0)
    up.forge("approver").close(1, "because")
    up.forge("approver").close(1, "because")
    up.forge().close(1, "for another reason")
    found = up.forge().get(1)
    assert (found.state, found.closed_by, found.merge_commit) == ("closed", "approver", None)
    assert found.closed_at is not None
    assert before <= found.closed_at <= datetime.now(UTC)
    assert [(each.user, each.body) for each in up.fake.comments] == [
        ("bo", "because"),
        ("approver", "because"),
    ]


def test_people_of_ended_ones_are_asked_for_only_when_wanted(up: Served) -> None:
    opened(up)
    up.forge("bo").close(1, "no")
    whole = up.forge().pull_requests("promote/")
    assert [each.closed_by for each in whole] == ["bo"]
    asked = len(up.fake.exchanges)
    brief = up.forge().pull_requests("promote/", people_of_ended=False)
    assert brief == [replace(each, closed_by=None) for each in whole]
    assert {each.path.rpartition("/")[2] for each in up.fake.exchanges[asked:]} <= {"pulls", "head"}


def test_a_merge_is_one_commit_with_our_message_and_the_same_when_asked_again(up: Served) -> None:
    head = opened(up)
    base = up.git.text("rev-parse", "main")
    message = "local: model 1 (#1)\n\nRisk: low\n\nRequested-by: ada\nPull-Request: #1\n"
    commit = up.forge().merge(1, head, message)
    assert up.git.text("rev-parse", "main^", "main") == f"{base}\n{commit}"
    assert up.git.text("log", "-1", "--format=%B", "main").strip() == message.strip()
    merges = [write for write in up.fake.writes if write.endswith("/merge")]
    assert up.forge("approver").merge(1, head, "") == commit
    assert [write for write in up.fake.writes if write.endswith("/merge")] == merges
    found = up.forge().get(1)
    assert (found.state, found.merge_commit, found.head, found.closed_by) == ("merged", commit, head, None)


def test_a_merge_is_refused_when_the_reviewed_head_or_the_trunk_moved(up: Served) -> None:
    head = opened(up)
    newer = up.push(text="newer\n")
    with pytest.raises(MergeRefused, match=f"has head {newer[:12]}, the reviewed one was {head[:12]}"):
        up.forge().merge(1, head, "title")
    up.push("main", text="of the trunk\n")
    with pytest.raises(MergeRefused, match="#1 is not merged"):
        up.forge().merge(1, newer, "title")
    up.forge("bo").close(1, "no")
    with pytest.raises(MergeRefused, match="was closed by bo"):
        up.forge().merge(1, newer, "title")


def test_the_branch_of_a_merge_goes_unless_it_was_used_again(up: Served) -> None:
    head = opened(up)
    up.forge().merge(1, head, "title")
    assert up.fake.branch_head(BRANCH) is None
    again = up.push(text="again\n")
    up.forge().merge(1, head, "title")
    assert up.fake.branch_head(BRANCH) == again


def test_a_fork_is_not_taken_for_a_promotion(up: Served) -> None:
    opened(up)
    up.fake.pulls[0].fork = True
    assert up.forge().pull_requests("promote/") == []
    assert up.forge().get(1).branch.startswith("fork:")


def test_a_comment_with_a_marker_is_replaced_in_place(up: Served) -> None:
    opened(up)
    up.fake.add_comment(1, "bo", "<!-- diff -->\nof somebody else")
    for text in ("one", "two", "two"):
        up.forge().comment(1, "diff", text)
    up.forge().comment(1, "other", "three")
    assert [each.body.partition("\n")[2] for each in up.fake.comments] == ["of somebody else", "two", "three"]
    assert len([write for write in up.fake.writes if "comments" in write]) == 3
