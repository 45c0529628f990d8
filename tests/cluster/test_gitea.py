"""The story of promotion on a real Gitea, with the tests of the local forge where they fit."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from scripts.check.merging import merge
from scripts.errors import Refused
from scripts.forges.forge import BranchGone, MergeRefused
from scripts.forges.transport import ForgeHttp, Patience
from scripts.history.git import Git, Identity
from scripts.history.repository import SLOTS, TRUNK, RefUpdate, RemoteRefused, temporary_copy
from scripts.promotion.proposal import open_proposals
from scripts.promotion.rollback import open_rollback
from tests.cluster.gitea import APPROVER, OWNER, PROMOTER, GiteaWorld, PeoplesGitea, gitea_world
from tests.scripts import test_check, test_merging, test_promotion, test_rollback
from tests.scripts.test_concurrent_promotions import eight_at_once
from tests.scripts.test_killed_anywhere import KILLED, end_of, in_a_child

pytestmark = pytest.mark.cluster

BO = Identity("bo", "bo@shop.invalid")

Story = Callable[[GiteaWorld], None]
STORIES: tuple[Story, ...] = (
    test_check.test_opening_again_tells_anew_what_has_changed_unless_it_is_approved,
    test_promotion.test_a_promotion_is_one_commit_of_the_release_lines_and_one_evidence_file,
    test_promotion.test_a_newer_candidate_supersedes_the_open_one_with_a_link,
    test_promotion.test_an_approved_one_is_never_overwritten,
    test_promotion.test_one_that_a_person_closed_is_a_rejection_until_a_commit_lifts_it,
)
LONG_STORIES: tuple[Story, ...] = (
    test_promotion.test_what_was_superseded_may_come_again,
    test_merging.test_a_held_release_is_not_merged_even_if_it_was_opened_before,
    test_rollback.test_the_tool_and_a_plain_revert_restore_the_same_bytes,
)
STORIES_OF_TWO: tuple[Story, ...] = (
    test_rollback.test_it_supersedes_an_open_promotion_and_no_promotion_supersedes_it,
)
LONG_STORIES_OF_TWO: tuple[Story, ...] = (
    test_promotion.test_after_a_persons_revert_a_hundred_proposals_open_nothing_and_a_newer_one_opens_once,
    test_promotion.test_an_un_held_release_is_proposed_and_merged_again,
    test_rollback.test_asked_again_it_finds_its_pull_request_and_one_a_person_closed_stays_closed,
    test_rollback.test_what_was_rolled_back_is_held_and_a_newer_model_is_not,
)


def stories(quick: tuple[Story, ...], long: tuple[Story, ...]) -> pytest.MarkDecorator:
    """Tests of the local forge, the long ones for the campaign."""
    params = [pytest.param(test, id=test.__name__) for test in quick]
    params += [pytest.param(test, id=test.__name__, marks=pytest.mark.soak) for test in long]
    return pytest.mark.parametrize("story", params)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GiteaWorld]:
    with gitea_world(tmp_path / "world") as made:
        yield made


@pytest.fixture
def two_live(world: GiteaWorld) -> GiteaWorld:
    world.promote(1)
    world.promote(2)
    return world


@stories(STORIES, LONG_STORIES)
def test_the_story_is_that_of_the_local_forge(world: GiteaWorld, story: Story) -> None:
    story(world)


@stories(STORIES_OF_TWO, LONG_STORIES_OF_TWO)
def test_the_story_after_two_models_is_that_of_the_local_forge(two_live: GiteaWorld, story: Story) -> None:
    story(two_live)


def test_a_slot_and_a_branch_move_together_over_http_or_not_at_all(world: GiteaWorld) -> None:
    with temporary_copy(world.forge) as copy:
        main = copy.ref(TRUNK)
        assert main is not None
        first = copy.propose(TRUNK, {"x": b"1"}, "first", BO, world.tick())
        slot, branch = f"{SLOTS}local", "refs/heads/promote/local/x"
        assert copy.push([RefUpdate(slot, None, first), RefUpdate(branch, None, first)])
        assert not copy.push(
            [RefUpdate(slot, None, main), RefUpdate("refs/heads/promote/local/y", None, main)]
        )
        assert not copy.push([RefUpdate(slot, main, main), RefUpdate(branch, first, None)])
        assert world.git.refs("refs/heads/promote", SLOTS) == {slot: first, branch: first}
        with pytest.raises(RemoteRefused, match="protected branch main"):
            copy.push([RefUpdate(TRUNK, main, first), RefUpdate(branch, first, None)])
        assert world.git.refs("refs/heads/promote", SLOTS) == {slot: first, branch: first}


def test_ten_runs_of_open_send_nothing_after_the_first(
    world: GiteaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.train(1)
    with Watched() as first:
        opened = world.open()
    with Watched() as later:
        assert [world.open().pull_request for _ in range(9)] == [opened.pull_request] * 9
    assert first.effects == ["push", f"POST /repos/{world.on.name}/pulls"]
    assert later.effects == []


def test_an_approval_is_of_one_commit_by_another_account(world: GiteaWorld) -> None:
    world.train(1)
    opened = world.open().pull_request
    assert opened is not None
    with pytest.raises(Refused, match="promoter is the author of #1"):
        world.forge.approve(1, opened.head)
    approver = world.forge.acting_as(APPROVER)
    approver.approve(1, opened.head)
    approver.approve(1, opened.head)
    assert world.forge.get(1).approved_by == (APPROVER,)
    with temporary_copy(world.forge) as copy:
        newer = copy.propose(opened.head, {"x": b"1"}, "more", BO, world.tick())
        assert copy.push([RefUpdate(f"refs/heads/{opened.branch}", opened.head, newer)])
    assert world.forge.get(1).approved_by == ()
    with pytest.raises(Refused, match=f"not open at {opened.head[:12]}"):
        approver.approve(1, opened.head)
    reviews = world.on.ask("GET", f"/repos/{world.on.name}/pulls/1/reviews")
    assert [review["state"] for review in reviews] == ["APPROVED"]


def test_a_merge_needs_the_approval_and_the_reviewed_head(world: GiteaWorld) -> None:
    world.train(1)
    opened = world.open().pull_request
    assert opened is not None
    with pytest.raises(MergeRefused, match="#1 is not merged: Does not have enough approvals"):
        world.forge.merge(1, opened.head, "title")
    world.forge.acting_as(APPROVER).approve(1, opened.head)
    with pytest.raises(MergeRefused, match="the reviewed one was 000000000000"):
        world.forge.merge(1, "0" * 40, "title")
    message = "local: model 1 (#1)\n\nRisk: low\n\nRequested-by: ada\nPull-Request: #1\n"
    commit = world.forge.acting_as(APPROVER).merge(1, opened.head, message)  # not its author
    assert world.forge.merge(1, opened.head, "") == commit == world.git.ref(TRUNK)
    merged = world.git.commit(commit)
    assert (merged.subject, merged.trailer("Requested-by")) == ("local: model 1 (#1)", "ada")
    assert merged.trailer("Pull-Request") == "#1"
    assert world.git.refs("refs/heads/promote") == {}
    found = world.forge.get(1)
    assert (found.state, found.head, found.merge_commit) == ("merged", opened.head, commit)
    assert found.approved_by == (APPROVER,)


def test_a_conflict_is_refused_after_gitea_had_its_time(world: GiteaWorld) -> None:
    world.train(1)
    opened = world.open().pull_request
    assert opened is not None
    world.forge.acting_as(APPROVER).approve(1, opened.head)
    world.commit_as_person("by hand", {"environments/local/release.yaml": b"kind: ConfigMap\n"})
    impatient = PeoplesGitea(world.on, PROMOTER)
    impatient.http.patience = Patience(tries=3)
    with pytest.raises(MergeRefused, match="Please try again later; if main changed the same files"):
        impatient.merge(1, opened.head, "title")


def test_closing_and_commenting_twice_says_it_once(world: GiteaWorld) -> None:
    world.train(1)
    world.open()
    for text in ("one", "two", "two"):
        world.forge.comment(1, "diff", text)
    world.forge.acting_as(OWNER).comment(1, "diff", "of another account")
    world.forge.close(1, "because")
    world.forge.close(1, "because")
    said = [(each["author"], each["text"]) for each in world.forge.comments(1)]
    assert said == [
        ("promoter", "<!-- diff -->\ntwo"),
        ("owner", "<!-- diff -->\nof another account"),
        ("promoter", "because"),
    ]
    assert world.forge.get(1).closed_by == "promoter"


def test_a_branch_that_goes_is_noticed_and_what_ended_keeps_its_head(world: GiteaWorld) -> None:
    world.train(1)
    opened = world.open().pull_request
    assert opened is not None
    world.forge.acting_as(APPROVER).close(1, "no")
    ref = f"refs/heads/{opened.branch}"
    with temporary_copy(world.forge) as copy:
        newer = copy.propose(TRUNK, {"x": b"1"}, "again", BO, world.tick())
        assert copy.push([RefUpdate(ref, opened.head, newer)])
        assert world.forge.open_pull_request(opened.branch, "again", "text").number == 2
        shown = world.forge.pull_requests("promote/")
        assert [(each.state, each.head, each.closed_by) for each in shown] == [
            ("closed", opened.head, APPROVER),
            ("open", newer, None),
        ]
        assert copy.push([RefUpdate(ref, newer, None)])
    with pytest.raises(BranchGone):
        world.forge.open_pull_request(opened.branch + "x", "again", "text")


def test_every_page_is_read(world: GiteaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.forges.gitea._PAGE", 2)
    with temporary_copy(world.forge) as copy:
        for number in range(1, 6):
            commit = copy.propose(TRUNK, {"x": b"%d" % number}, "x", BO, world.tick())
            assert copy.push([RefUpdate(f"refs/heads/promote/local/{number}", None, commit)])
            world.forge.open_pull_request(f"promote/local/{number}", "title", "text")
    assert [each.number for each in world.forge.pull_requests("promote/")] == [1, 2, 3, 4, 5]
    assert world.forge.open_pull_request("promote/local/5", "title", "text").number == 5
    for word in "abcde":
        world.forge.acting_as(APPROVER).comment(1, word, word)
    assert len(world.forge.comments(1)) == 5
    world.forge.acting_as(APPROVER).close(1, "no")
    assert world.forge.get(1).closed_by == APPROVER


def test_eight_at_once_leave_the_newest_open_and_never_two(world: GiteaWorld) -> None:
    watcher = world.forge.acting_as(OWNER)

    def count_open() -> int:
        time.sleep(0.05)
        return len(open_proposals(watcher, "local"))

    eight_at_once(world, count_open, world.anew)
    ended = [each for each in world.forge.pull_requests("promote/") if each.state != "open"]
    assert all(each.closed_by == "promoter" and world.forge.comments(each.number) for each in ended)
    assert world.merge().release.model_version == 8


class Watched:
    """Records what changes something on the forge; ends this process after the one it is told."""

    def __init__(self, kill_after: int | None = None) -> None:
        self.effects: list[str] = []
        self._kill_after, self._patch = kill_after, pytest.MonkeyPatch()

    def __enter__(self) -> Self:
        run, once = Git.run, ForgeHttp.once

        def watched_run(git: Git, *arguments: str, **more: Any) -> bytes:
            output = run(git, *arguments, **more)
            if arguments[0] == "push":
                self._note("push")
            return output

        def watched_once(http: ForgeHttp, method: str, path: str, **more: Any) -> httpx.Response:
            answer = once(http, method, path, **more)
            if method != "GET":
                self._note(f"{method} {path}")
            return answer

        self._patch.setattr(Git, "run", watched_run)
        self._patch.setattr(ForgeHttp, "once", watched_once)
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()

    def _note(self, effect: str) -> None:
        self.effects.append(effect)
        if len(self.effects) - 1 == self._kill_after:
            os._exit(KILLED)


def one_open(world: GiteaWorld) -> None:
    world.train(1)
    world.open()
    world.train(2)


def one_approved(world: GiteaWorld) -> None:
    one_open(world)
    (each,) = open_proposals(world.forge, "local")
    world.forge.acting_as(APPROVER).approve(each.number, each.head)


def back_and_one_open(world: GiteaWorld) -> None:
    world.promote(1)
    world.promote(2)
    world.train(3)
    world.open()


def nothing(world: GiteaWorld) -> None:
    world.train(1)


def roll_back(world: GiteaWorld) -> object:
    return open_rollback(world.bridge, "local", "ada", "too many returns")


SCENARIOS: dict[str, tuple[Story, Callable[[GiteaWorld], object], int]] = {
    "open the first": (nothing, GiteaWorld.open, 2),
    "open a newer one": (one_open, GiteaWorld.open, 5),
    "merge": (one_approved, lambda world: merge(world.bridge, "local", 1), 2),
    "roll back over an open promotion": (back_and_one_open, roll_back, 5),
}
QUICK = {"merge"}


def end_state(world: GiteaWorld) -> object:
    """Everything but times, and the digests in the names of branches that follow from them."""
    pulls = world.forge.pull_requests("promote/", "rollback/")
    slot = world.git.ref(f"{SLOTS}local")
    return (
        [(each.number, each.title, each.branch[:-12], each.state, each.closed_by) for each in pulls],
        [len(world.forge.comments(each.number)) for each in pulls],
        sorted(ref if ref == TRUNK or ref.startswith(SLOTS) else ref[:-12] for ref in world.refs()),
        slot in {each.head for each in pulls},
        world.file(),
    )


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.soak) for name in SCENARIOS]
)
def test_killed_after_every_side_effect_the_next_run_ends_the_same(tmp_path: Path, name: str) -> None:
    prepare, act, expected = SCENARIOS[name]
    with gitea_world(tmp_path / "whole") as world:
        prepare(world)
        with Watched() as watched:
            act(world)
        assert len(watched.effects) == expected
        whole = end_state(world)
        with Watched() as again:
            act(world)
        assert again.effects == []
    for point, effect in enumerate(watched.effects):
        with gitea_world(tmp_path / f"killed-{point}") as world:
            prepare(world)

            def killed(world: GiteaWorld = world, point: int = point) -> None:
                world.anew()
                with Watched(kill_after=point):
                    act(world)

            assert end_of(in_a_child(killed)) == KILLED
            act(world)
            assert end_state(world) == whole, f"killed after effect {point}, {effect}"
