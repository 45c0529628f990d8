"""Opening promotions on a real bare repository: what moves, what is refused, what a repeat does."""

import difflib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ml.errors import ModelNotFound
from scripts.errors import Broken, Refused
from scripts.evidence.record import Evidence, Waiver
from scripts.forges.forge import BranchGone, PullRequest
from scripts.forges.local import LocalForge
from scripts.history.git import Git
from scripts.history.repository import TRUNK, Repository
from scripts.promotion.proposal import open_proposals
from scripts.promotion.pull_request import evidence_in
from scripts.promotion.rollback import open_rollback
from scripts.release_file import evidence_path_of
from tests.scripts.world import RELEASE, World


def changed_lines(before: bytes, after: bytes) -> int:
    lines = difflib.unified_diff(before.decode().splitlines(), after.decode().splitlines(), n=0, lineterm="")
    return sum(line.startswith("+") for line in lines) - 1  # the head of the diff has one too


def open_numbers(world: World) -> list[int]:
    return [each.number for each in open_proposals(world.forge, "local")]


def test_a_promotion_is_one_commit_of_the_release_lines_and_one_evidence_file(world: World) -> None:
    digest = world.train(1)
    opened = world.open()
    assert opened.action == "opened"
    assert opened.pull_request is not None
    head = opened.pull_request.head
    assert world.git.text("rev-list", "--count", f"{TRUNK}..{head}") == "1"
    evidence_path = evidence_path_of("local", opened.release)
    assert set(world.git.changed_paths(TRUNK, head)) == {"environments/local/release.yaml", evidence_path}
    evidence = Evidence.from_bytes(world.git.read(head, evidence_path) or b"")
    commit = world.git.commit(head)
    assert commit.subject == "local: model 1, image abc1234"
    assert {
        key: commit.trailer(key) for key in ("Requested-by", "Model-Version", "Model-Sha256", "Image-Tag")
    } == {
        "Requested-by": "ada",
        "Model-Version": "1",
        "Model-Sha256": digest,
        "Image-Tag": "abc1234",
    }
    assert commit.trailer("Data-Version") == evidence.model.data_version
    assert commit.trailer("Evidence-Sha256") == evidence.sha256
    assert evidence_in(opened.pull_request.body) == evidence
    assert world.file() == RELEASE  # nothing is live before the merge


@pytest.mark.parametrize(
    ("version", "tag", "lines"), [("1", "def5678", 1), ("2", "abc1234", 2), ("2", "def5678", 3)]
)
def test_the_diff_is_one_line_for_an_image_two_for_a_model_three_for_both(
    world: World, version: str, tag: str, lines: int
) -> None:
    world.promote(1)
    world.train(2)
    before = world.file()
    opened = world.open(version, tag)
    assert opened.pull_request is not None
    after = world.git.read(opened.pull_request.head, "environments/local/release.yaml") or b""
    assert changed_lines(before, after) == lines


def test_the_alias_is_resolved_once(world: World) -> None:
    world.train(1)
    world.open("challenger")
    assert world.registry.asked == ["challenger"]


def test_ten_times_the_same_wish_is_one_branch_one_commit_one_pull_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.train(1)
    first = world.open()
    refs = world.refs()
    written: list[str] = []
    real = Git.run

    def run(self: Git, *arguments: str, **more: Any) -> bytes:
        written.extend(arguments[:1] if arguments[0] in {"push", "update-ref"} else ())
        return real(self, *arguments, **more)

    monkeypatch.setattr(Git, "run", run)
    for asker in ["ada"] * 8 + ["bo"]:
        again = world.open(requested_by=asker)
        assert (again.action, again.pull_request) == ("found", first.pull_request)
    assert written == []
    assert world.refs() == refs
    assert len([ref for ref in refs if ref.startswith("refs/heads/promote/")]) == 1


def test_what_is_live_already_needs_no_pull_request(world: World) -> None:
    world.promote(1)
    refs = world.refs()
    assert world.open("1").action == "live"
    assert world.refs() == refs


def test_an_image_only_promotion_keeps_the_model_and_needs_no_verdict(world: World) -> None:
    world.promote(1)
    world.registry.papers.clear()
    opened = world.open(None, "def5678")
    assert opened.release.model_version == 1
    assert world.merge().release.image_tag == "def5678"


def test_the_first_promotion_names_a_model_and_an_image(world: World) -> None:
    world.train(1)
    with pytest.raises(Refused, match="has no model yet"):
        world.open(None, "abc1234")
    for tag in (None, "latest", "unreleased"):
        with pytest.raises(Refused, match="does not name one image"):
            world.open("1", tag)
    with pytest.raises(Refused, match="cannot be written to a release file"):
        world.open("1", "a b")
    assert open_numbers(world) == []


GATES: dict[str, tuple[dict[str, Any], str]] = {
    "no verdict": ({"verdict": None}, "no verdict came with the model"),
    "verdict is no object": ({"verdict": [1]}, "no verdict came with the model"),
    "worse": (
        {"verdict": {"answer": "worse", "reasons": ["ratio above 1"]}},
        "worse against None; ratio above 1",
    ),
    "not enough data": ({"verdict": {"answer": "not_enough_data"}}, "not_enough_data"),
    "empty": ({"verdict": {}}, "None against None"),
    "unknown answer": (
        {"verdict": {"answer": "BETTER", "against": "x", "ratio": 0.5, "lower": 0.4, "upper": 0.6}},
        "BETTER",
    ),
    "no benchmark": ({"benchmark": None}, "no row for mix, only nothing"),
    "empty benchmark": ({"benchmark": []}, "no row for mix"),
    "benchmark without the candidate": (
        {"benchmark": [{"candidate": "naive"}]},
        "no row for mix, only naive",
    ),
    "benchmark without a baseline": ({"benchmark": [{"candidate": "mix", "wape": 0.1}]}, "mix alone"),
    "benchmark with NaN": (
        {"benchmark": [{"candidate": "mix", "wape": float("nan")}, {"candidate": "naive"}]},
        "mix: wape is not a number",
    ),
    "benchmark with infinity": (
        {"benchmark": [{"candidate": "mix", "wape": float("-inf")}, {"candidate": "naive"}]},
        "mix: wape is not a number",
    ),
}
for field in ("ratio", "lower", "upper"):
    for value in (float("nan"), float("inf"), None, "0.5", -0.1, True):
        verdict = {
            "answer": "better",
            "against": "naive",
            "ratio": 0.9,
            "lower": 0.8,
            "upper": 0.95,
            field: value,
        }
        GATES[f"{field} is {value!r}"] = ({"verdict": verdict}, f", but {field} is")
GATES["ratio outside its bounds"] = (
    {"verdict": {"answer": "better", "against": "naive", "ratio": 0.97, "lower": 0.8, "upper": 0.95}},
    "0.97 is not between 0.8 and 0.95",
)
GATES["better, yet the upper bound is one"] = (
    {"verdict": {"answer": "better", "against": "naive", "ratio": 0.9, "lower": 0.8, "upper": 1.0}},
    "the upper bound 1.0 is not below 1",
)


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One world for wishes that change nothing."""
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("name", GATES)
def test_a_gate_without_a_good_answer_opens_nothing_and_names_the_reason(
    shared_world: World, name: str
) -> None:
    (papers, text), world = GATES[name], shared_world
    world.registry.papers.clear()
    world.train(1, **papers)
    refs = world.refs()
    with pytest.raises(Refused) as caught:
        world.open()
    assert text in str(caught.value)
    assert caught.value.reason in {"gate_better_than_champion", "gate_benchmark"}
    assert world.refs() == refs


def test_not_worse_is_enough_for_a_later_model_and_not_for_the_first(world: World) -> None:
    not_worse = {"answer": "non_inferior", "against": "mix", "ratio": 1.0, "lower": 0.97, "upper": 1.02}
    world.train(1, verdict=not_worse)
    with pytest.raises(Refused, match="it needs answer better, finite"):
        world.open("1")
    world.train(1)
    world.promote(1)
    world.train(2, verdict=not_worse)
    opened = world.open("2")
    assert opened.pull_request is not None
    assert "## Risk: Medium" in opened.pull_request.body


def test_a_waiver_is_kept_in_the_evidence_with_name_and_reason(world: World) -> None:
    world.train(
        1, verdict={"answer": "worse", "against": "naive", "ratio": float("nan"), "lower": 1, "upper": 2}
    )
    waivers = {"better_than_champion": Waiver(by="cy", reason="a holiday that no model knows")}
    opened = world.open(waivers=waivers)
    assert opened.pull_request is not None
    gate = evidence_in(opened.pull_request.body).gates[0]
    assert (gate.passed, gate.waiver) == (False, waivers["better_than_champion"])
    assert "worse" in gate.saw
    assert "## Risk: High" in opened.pull_request.body
    assert "waived by cy: a holiday" in opened.pull_request.body


def test_a_waiver_that_was_not_needed_leaves_no_trace_and_an_unknown_one_is_refused(world: World) -> None:
    world.train(1)
    waiver = Waiver(by="cy", reason="why not")
    opened = world.open(waivers={"better_than_champion": waiver})
    assert opened.pull_request is not None
    assert evidence_in(opened.pull_request.body).gates[0].waiver is None
    with pytest.raises(Refused, match="'bundle' cannot be waived"):
        world.open(image_tag="def5678", waivers={"bundle": waiver})


def flip_a_byte(world: World, digest: str) -> None:
    bundle = world.folder / f"models/bundles/{digest}.tar"
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)


def remove_bundle(world: World, digest: str) -> None:
    (world.folder / f"models/bundles/{digest}.tar").unlink()


def remove_snapshot(world: World, digest: str) -> None:
    for snapshot in (world.folder / f"models/snapshots/{digest}").iterdir():
        snapshot.unlink()


def break_snapshot(world: World, digest: str) -> None:
    for snapshot in (world.folder / f"models/snapshots/{digest}").iterdir():
        snapshot.write_bytes(b"of another model")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flip_a_byte, "bad_bundle"),
        (remove_bundle, "bad_bundle"),
        (remove_snapshot, "no_snapshot"),
        (break_snapshot, "no_snapshot"),
    ],
)
def test_a_model_that_pods_could_not_serve_is_not_proposed(
    world: World, damage: Callable[[World, str], None], reason: str
) -> None:
    damage(world, world.train(1))
    with pytest.raises(Refused) as caught:
        world.open()
    assert caught.value.reason == reason
    assert open_numbers(world) == []


def test_a_registry_that_says_other_than_the_bundle_is_refused(world: World) -> None:
    world.train(1)
    entry = world.registry.entries[1]
    world.registry.entries[1] = type(entry)(**{**vars(entry), "data_version": "2026-09.ffffffffffff"})
    with pytest.raises(Refused, match="the registry says version 1 is mix on 2026-09"):
        world.open()
    with pytest.raises(ModelNotFound):
        world.open("99")


def test_a_registry_whose_live_version_has_other_bytes_is_refused(world: World) -> None:
    world.promote(1)
    entry = world.registry.entries[1]
    world.registry.entries[1] = type(entry)(**{**vars(entry), "sha256": "f" * 64})
    with pytest.raises(Refused, match="the registry was changed"):
        world.open(None, "def5678")


def test_a_newer_candidate_supersedes_the_open_one_with_a_link(world: World) -> None:
    world.train(1)
    world.open()
    world.train(2)
    second = world.open()
    assert second.superseded == (1,)
    assert second.pull_request is not None
    assert open_numbers(world) == [2]
    first = world.forge.get(1)
    assert (first.state, first.closed_by) == ("closed", "promoter")
    comment = world.forge.comments(1)[0]["text"]
    assert second.pull_request.branch in comment
    assert second.pull_request.head in comment
    assert world.git.refs("refs/heads/promote/") == {
        f"refs/heads/{second.pull_request.branch}": second.pull_request.head
    }


def test_what_was_superseded_may_come_again(world: World) -> None:
    world.train(1)
    world.open(image_tag="abc1234")
    world.open(image_tag="def5678")
    third = world.open(image_tag="abc1234")
    assert third.pull_request is not None
    assert open_numbers(world) == [3]


def test_an_older_candidate_does_not_supersede_a_newer_one(world: World) -> None:
    world.train(1)
    world.train(2)
    world.open("2")
    with pytest.raises(Refused, match="proposes a newer model than 1"):
        world.open("1")
    assert open_numbers(world) == [1]


def test_an_approved_one_is_never_overwritten(world: World) -> None:
    world.train(1)
    first = world.open().pull_request
    assert first is not None
    world.forge.acting_as("approver").approve(first.number, first.head)
    world.train(2)
    with pytest.raises(Refused, match="is approved by approver; merge or close it first"):
        world.open()
    assert world.forge.get(1).head == first.head
    assert open_numbers(world) == [1]
    assert world.merge().release.model_version == 1


def test_one_that_a_person_closed_is_a_rejection_until_a_commit_lifts_it(world: World) -> None:
    world.train(1)
    world.open()
    world.forge.acting_as("approver").close(1, "not this week")
    for tag in ("abc1234", "abc1234"):
        with pytest.raises(Refused, match="#1 for 1-abc1234 was closed by approver") as caught:
            world.open("1", tag)
        assert caught.value.reason == "rejected"
    world.train(1, verdict={"answer": "better", "against": "ma3", "ratio": 0.5, "lower": 0.4, "upper": 0.6})
    with pytest.raises(Refused, match="was closed by approver"):  # other evidence is still the same release
        world.open("1")
    world.now += timedelta(minutes=1)
    world.commit_as_person("next week\n\nUn-hold: 1-abc1234 the week is over")
    assert world.open("1").action == "opened"
    assert open_numbers(world) == [2]


def test_a_rejection_is_of_one_image_not_of_those_whose_tags_begin_alike(world: World) -> None:
    world.train(1)
    world.open("1", "abc-def")
    world.forge.acting_as("bo").close(1, "no")
    assert world.open("1", "abc").action == "opened"


def test_a_tag_that_git_would_not_take_in_a_branch_name_is_promoted_too(world: World) -> None:
    assert world.promote(1, "v1...2.lock").release.image_tag == "v1...2.lock"
    assert world.promote(2, "v1...3.lock").release.image_tag == "v1...3.lock"
    assert open_rollback(world.bridge, "local", "ada", "why").release.image_tag == "v1...2.lock"
    assert world.merge().release.image_tag == "v1...2.lock"


def test_a_newer_model_is_not_touched_by_a_rejection(world: World) -> None:
    world.train(1)
    world.open()
    world.forge.acting_as("bo").close(1, "no")
    world.train(2)
    assert world.open().action == "opened"


def test_a_model_older_than_the_live_one_is_not_proposed(world: World) -> None:
    world.train(1)
    world.promote(2)
    with pytest.raises(Refused, match="model 1 is older than the live 2"):
        world.open("1")


def test_after_a_persons_revert_proposals_open_nothing_and_a_newer_one_opens_once(two_live: World) -> None:
    revert_and_propose(two_live, proposals=6)


@pytest.mark.soak
def test_after_a_persons_revert_a_hundred_proposals_open_nothing_and_a_newer_one_opens_once(
    two_live: World,
) -> None:
    revert_and_propose(two_live, proposals=100)


def revert_and_propose(world: World, proposals: int) -> None:
    first, second = (world.promoted[version] for version in (1, 2))
    before = world.file()
    world.revert_as_person(second.commit)
    assert world.live() == first.release
    propose_what_is_held(world, proposals)
    world.train(3)
    assert [world.open().action for _ in range(3)] == ["opened", "found", "found"]
    assert world.file() != before


def propose_what_is_held(world: World, proposals: int) -> None:
    """Model 2 again and again, with its own image and with later ones: each is refused, and nothing moves."""
    refs = world.refs()
    for attempt in range(proposals):
        with pytest.raises(Refused) as caught:
            world.open("2", "abc1234" if attempt % 2 else f"later{attempt}")
        assert caught.value.reason == "held"
    assert world.refs() == refs


def test_an_un_held_release_is_proposed_and_merged_again(two_live: World) -> None:
    second = two_live.promoted[2]
    two_live.revert_as_person(second.commit)
    two_live.commit_as_person("try again\n\nUn-hold: 2-abc1234 it was the store")
    opened = two_live.open("2")
    assert opened.action == "opened"
    assert two_live.merge().release == second.release


def test_a_comment_that_changed_on_the_trunk_does_not_block_the_same_wish(world: World) -> None:
    world.train(1)
    world.open()
    world.commit_as_person(
        "say more", {"environments/local/release.yaml": RELEASE.replace(b"line by line", b"by line")}
    )
    with pytest.raises(Refused, match="is stale"):
        world.merge(1)
    again = world.open()
    assert again.superseded == (1,)
    assert world.merge().number == 2
    assert b"by line." in world.file()


def test_a_change_of_other_files_on_the_trunk_is_no_obstacle(world: World) -> None:
    world.train(1)
    world.open()
    world.commit_as_person("docs", {"docs/x.md": b"x"})
    assert world.open().action == "found"
    assert world.merge().release.model_version == 1


def killed_before_its_pull_request(
    world: World, monkeypatch: pytest.MonkeyPatch, wish: Callable[[], object]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(LocalForge, "open_pull_request", interrupted)
        with pytest.raises(KeyboardInterrupt):
            wish()


def interrupted(*_: object) -> PullRequest:
    raise KeyboardInterrupt


def test_a_newer_model_on_its_way_to_a_pull_request_is_not_overtaken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.train(1)
    world.train(2)
    killed_before_its_pull_request(world, monkeypatch, lambda: world.open("2"))
    with pytest.raises(
        Refused, match=r"branch promote/local/2-abc1234-\w+, not opened yet, proposes a newer model"
    ):
        world.open("1")
    assert world.open("2").action == "opened"


def test_a_rollback_on_its_way_to_a_pull_request_is_not_overtaken(
    two_live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_live.train(3)
    killed_before_its_pull_request(
        two_live, monkeypatch, lambda: open_rollback(two_live.bridge, "local", "ada", "why")
    )
    with pytest.raises(Refused, match="not opened yet, is a rollback"):
        two_live.open("3")
    assert open_rollback(two_live.bridge, "local", "ada", "why").action == "opened"


def test_a_release_that_changes_while_it_is_being_proposed_stops_the_proposal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.train(1)
    world.train(2)
    real = Repository.push

    def push(self: Repository, updates: Any) -> bool:
        monkeypatch.setattr(Repository, "push", real)
        world.promote(1)
        return real(self, updates)

    monkeypatch.setattr(Repository, "push", push)
    with pytest.raises(Refused, match="took the slot of local"):
        world.open("2")
    assert world.live().model_version == 1
    assert open_numbers(world) == []
    assert world.open("2").action == "opened"


def test_a_branch_that_somebody_deletes_at_the_wrong_moment_is_worth_another_try(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.train(1)

    def gone(*_: object) -> PullRequest:
        raise BranchGone

    with monkeypatch.context() as patch:
        patch.setattr(LocalForge, "open_pull_request", gone)
        with pytest.raises(Broken, match="was deleted on the forge"):
            world.open()
    assert world.open().action == "opened"


def test_a_slot_that_never_stands_still_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.train(1)
    monkeypatch.setattr(Repository, "push", lambda *_: False)
    with pytest.raises(Broken, match="the slot of local moved 10 times"):
        world.open()
