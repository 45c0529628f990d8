"""Clean promotions of production, and everything that can be wrong with one: a fault each, at its commit."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

from scripts.audit.report import Kind
from scripts.check.merging import merge_message
from scripts.evidence.rules import rules_path_of
from scripts.forges.forge import PullRequest
from scripts.history.git import Identity
from scripts.history.repository import TRUNK, RefUpdate, temporary_copy
from scripts.promotion.rollback import open_rollback
from scripts.release_file import path_of
from tests.scripts.world import ANYTHING_GOES, World

ENVIRONMENT = "production"
RELEASE, RULES = path_of(ENVIRONMENT), rules_path_of(ENVIRONMENT)

Files = dict[str, bytes]
Fault = Callable[[World], str | None]


def proposed(
    world: World, version: int, environment: str = ENVIRONMENT, requested_by: str = "ada"
) -> PullRequest:
    """An open promotion that nobody approved yet."""
    world.train(version)
    opened = world.open(str(version), "abc1234", environment, requested_by=requested_by)
    assert opened.pull_request
    return opened.pull_request


def approve(world: World, pull_request: PullRequest, by: str = "bo") -> None:
    world.forge.acting_as(by).approve(pull_request.number, pull_request.head)


def merge_unchecked(world: World, number: int) -> str:
    """A merge by somebody who does not ask `promote check`; the new commit's id comes back."""
    pull_request = world.forge.get(number)
    message = merge_message(world.git.commit(pull_request.head), pull_request)
    return world.forge.merge(number, pull_request.head, message)


def promote(world: World, version: int, environment: str = ENVIRONMENT) -> str:
    """A promotion as it should be; the commit's id comes back."""
    pull_request = proposed(world, version, environment)
    approve(world, pull_request)
    return world.merge(pull_request.number, environment).commit


def roll_back(world: World, environment: str = ENVIRONMENT) -> str:
    opened = open_rollback(world.bridge, environment, "ada", "too many returns").pull_request
    assert opened
    approve(world, opened)
    return world.merge(opened.number, environment).commit


def by_pull_request(
    world: World, message: str, files: dict[str, bytes | None], branch: str, author: str = "cy"
) -> str:
    """A person's own branch, approved and merged as it is; the commit's id comes back."""
    with temporary_copy(world.forge) as copy:
        entries = {
            path: None if data is None else f"100644 {copy.write_blob(data)}" for path, data in files.items()
        }
        tree = copy.tree_with(TRUNK, entries)
        head = copy.commit_tree(
            tree, [copy.commit(TRUNK).id], message, Identity(author, "x@x.invalid"), world.tick()
        )
        assert copy.push([RefUpdate(f"refs/heads/{branch}", None, head)])
    number = world.forge.acting_as(author).open_pull_request(branch, message.partition("\n")[0], "").number
    world.forge.acting_as("bo").approve(number, head)
    return world.forge.merge(number, head, message)


def forge_branch(world: World, version: int, change: Callable[[Files, str], str]) -> str:
    """Another commit on a promotion's branch, approved and merged unchecked; its id on the trunk comes back.

    `change` edits the files in place and returns the message.
    """
    pull_request = proposed(world, version)
    paths = world.git.changed_paths(TRUNK, pull_request.head)
    files = {path: world.git.read(pull_request.head, path) or b"" for path in paths}
    message = change(files, world.git.commit(pull_request.head).message)
    with temporary_copy(world.forge) as copy:
        head = copy.propose(TRUNK, files, message, Identity("eve", "e@x.invalid"), world.tick())
        assert copy.push([RefUpdate(f"refs/heads/{pull_request.branch}", pull_request.head, head)])
    approve(world, world.forge.get(pull_request.number))
    return merge_unchecked(world, pull_request.number)


def rewrite_record(world: World, number: int, **fields: object) -> None:
    """Change what the forge keeps of a pull request behind its back."""
    sha, record = world.forge._stored(number)
    world.forge._store(sha, replace(record, **fields))  # type: ignore[arg-type]


def evidence_path(files: Files) -> str:
    return next(path for path in files if path.endswith(".json"))


def evidence_of(world: World, version: int) -> str:
    return f"environments/{ENVIRONMENT}/evidence/{version}-abc1234.json"


def on_trunk(world: World, path: str) -> bytes:
    return world.git.read(TRUNK, path) or b""


def edited_evidence_later(world: World) -> str:
    path = evidence_of(world, 1)
    return world.commit_as_person("docs: a typo", {path: on_trunk(world, path).replace(b"0.9", b"0.8")})


def deleted_evidence_later(world: World) -> str:
    return by_pull_request(world, "tidy up", {evidence_of(world, 1): None}, "tidy")


def planted_evidence(world: World) -> str:
    return world.commit_as_person("more", {f"environments/{ENVIRONMENT}/evidence/9-z.json": b"{}\n"})


def edited_evidence_at_the_merge(world: World) -> str:
    def change(files: Files, message: str) -> str:
        path = evidence_path(files)
        files[path] = files[path].replace(b"0.9", b"0.8")
        return message

    return forge_branch(world, 3, change)


def edited_evidence_with_a_digest_that_fits(world: World) -> str:
    def change(files: Files, message: str) -> str:
        path = evidence_path(files)
        old = hashlib.sha256(files[path]).hexdigest()
        files[path] = files[path].replace(b"0.9", b"0.8")
        return message.replace(old, hashlib.sha256(files[path]).hexdigest())

    return forge_branch(world, 3, change)


def no_evidence(world: World) -> str:
    def change(files: Files, message: str) -> str:
        del files[evidence_path(files)]
        return message

    return forge_branch(world, 3, change)


def evidence_that_fits(world: World, **fields: object) -> str:
    """Other evidence, with a digest in the commit and a text in the pull request that fit it."""
    number = len(world.forge.pull_requests("")) + 1

    def change(files: Files, message: str) -> str:
        path = evidence_path(files)
        old = hashlib.sha256(files[path]).hexdigest()
        files[path] = (json.dumps({**json.loads(files[path]), **fields}, indent=2) + "\n").encode()
        world.edit_body(number, f"```json\n{files[path].decode()}```\n")
        return message.replace(old, hashlib.sha256(files[path]).hexdigest())

    return forge_branch(world, 3, change)


def evidence_of_another_environment(world: World) -> str:
    return evidence_that_fits(world, environment="staging")


def evidence_of_another_step(world: World) -> str:
    replaced = {"image_tag": "abc1234", "model_version": 1, "model_sha256": "1" * 64}
    return evidence_that_fits(world, replaces=replaced)


def evidence_without_a_model(world: World) -> str:
    return evidence_that_fits(world, model=None)


def closed_gate(world: World) -> str:
    return evidence_that_fits(world, gates=[{"name": "soak", "passed": False, "saw": "x", "needs": "y"}])


def no_gates(world: World) -> str:
    return evidence_that_fits(world, gates=[])


def waived_by_the_requester(world: World) -> str:
    waiver = {"by": "Ada", "reason": "trust me"}
    return evidence_that_fits(world, gates=[{"name": "soak", "passed": False, "waiver": waiver}])


def directly_pushed(world: World) -> str:
    return world.commit_as_person(
        "quick fix", {RELEASE: on_trunk(world, RELEASE).replace(b"abc1234", b"zzz")}
    )


def directly_pushed_with_everything(world: World) -> str:
    """Release, evidence and message of a promotion that is open, pushed past the review."""
    pull_request = proposed(world, 3)
    paths = (RELEASE, evidence_of(world, 3))
    files = {path: world.git.read(pull_request.head, path) or b"" for path in paths}
    return world.commit_as_person(world.git.commit(pull_request.head).message, files)


def in_a_docs_commit(world: World) -> str:
    release = on_trunk(world, RELEASE).replace(b"abc1234", b"zzz")
    return world.commit_as_person("docs: how to roll back", {"docs/page.md": b"x\n", RELEASE: release})


def by_another_branch(world: World) -> str:
    release = on_trunk(world, RELEASE).replace(b"abc1234", b"zzz")
    return by_pull_request(world, "base: faster", {RELEASE: release}, "faster")


def by_a_branch_of_another_environment(world: World) -> str:
    release = on_trunk(world, RELEASE).replace(b"abc1234", b"zzz")
    return by_pull_request(world, "local: model 3", {RELEASE: release}, "promote/local/3-zzz-0123456789ab")


def without_approval(world: World) -> str:
    return merge_unchecked(world, proposed(world, 3).number)


def another_head_than_the_approved(world: World) -> str:
    pull_request = proposed(world, 3)
    approve(world, pull_request)
    with temporary_copy(world.forge) as copy:
        commit = copy.commit(pull_request.head)
        head = copy.commit_tree(
            f"{commit.id}^{{tree}}", [commit.id], commit.message, Identity("eve", "e@x"), world.tick()
        )
        assert copy.push([RefUpdate(f"refs/heads/{pull_request.branch}", commit.id, head)])
    return merge_unchecked(world, pull_request.number)


def marked_as_merged_by_hand(world: World) -> str:
    """Some forges let an administrator name any commit as the merge of an approved pull request."""
    pull_request = proposed(world, 3)
    approve(world, pull_request)
    files = {RELEASE: (world.git.read(pull_request.head, RELEASE) or b"").replace(b"abc1234", b"zzz")}
    path = f"environments/{ENVIRONMENT}/evidence/3-zzz.json"
    old = world.git.read(pull_request.head, evidence_of(world, 3)) or b""
    files[path] = old.replace(b'"abc1234"', b'"zzz"', 1)
    message = world.git.commit(pull_request.head).message.replace("Image-Tag: abc1234", "Image-Tag: zzz")
    digest, another = (hashlib.sha256(data).hexdigest() for data in (old, files[path]))
    commit = world.commit_as_person(message.replace(digest, another), files)
    world.edit_body(pull_request.number, f"```json\n{files[path].decode()}```\n")
    rewrite_record(world, pull_request.number, merge_commit=commit)
    return commit


def approved_by_its_author(world: World) -> str:
    pull_request = proposed(world, 3)
    rewrite_record(world, pull_request.number, approvals={"promoter": pull_request.head})
    return merge_unchecked(world, pull_request.number)


def approved_by_its_author_and_another(world: World) -> str:
    pull_request = proposed(world, 3)
    rewrite_record(world, pull_request.number, approvals=dict.fromkeys(("promoter", "bo"), pull_request.head))
    return merge_unchecked(world, pull_request.number)


def approved_by_who_asked(world: World) -> str:
    pull_request = proposed(world, 3, requested_by="bo")
    approve(world, pull_request)
    return merge_unchecked(world, pull_request.number)


def approved_by_who_asked_in_capitals(world: World) -> str:
    pull_request = proposed(world, 3, requested_by="BO")
    approve(world, pull_request)
    return merge_unchecked(world, pull_request.number)


def number_of(world: World, version: int) -> int:
    return next(each.number for each in world.forge.pull_requests(f"promote/{ENVIRONMENT}/{version}-"))


def merge_of(world: World, version: int) -> str | None:
    return world.forge.get(number_of(world, version)).merge_commit


def forged_block(world: World) -> str | None:
    number = number_of(world, 1)
    world.edit_body(number, world.forge.get(number).body.replace('"ratio": 0.9', '"ratio": 0.7'))
    return merge_of(world, 1)


def forged_block_of_another_type(world: World) -> str | None:
    number = number_of(world, 1)
    world.edit_body(number, world.forge.get(number).body.replace('"passed": true', '"passed": 1', 1))
    return merge_of(world, 1)


def forged_block_that_says_it_twice(world: World) -> str | None:
    number = number_of(world, 1)
    body = world.forge.get(number).body
    world.edit_body(number, body.replace('"ratio": 0.9', '"ratio": 0.7,\n    "ratio": 0.9'))
    return merge_of(world, 1)


def second_block(world: World) -> str | None:
    world.edit_body(number_of(world, 1), world.forge.get(number_of(world, 1)).body + "\n```json\n{}\n```\n")
    return merge_of(world, 1)


def block_of_another_kind(world: World) -> str | None:
    world.edit_body(number_of(world, 1), "```json\n[]\n```\n")
    return merge_of(world, 1)


def deleted_text(world: World) -> str | None:
    world.edit_body(number_of(world, 1), "")
    return merge_of(world, 1)


def wrong_trailer(world: World) -> str:
    return forge_branch(world, 3, lambda _, message: message.replace("Model-Version: 3", "Model-Version: 2"))


def merged_saying(world: World, said: str, instead: str) -> str:
    """Approved and merged with another message than promote writes."""
    pull_request = proposed(world, 3)
    approve(world, pull_request)
    approved = world.forge.get(pull_request.number)
    message = merge_message(world.git.commit(pull_request.head), approved)
    assert said in message
    return world.forge.merge(approved.number, approved.head, message.replace(said, instead))


def nobody_asked(world: World) -> str:
    return merged_saying(world, "Requested-by: ada\n", "")


def two_asked(world: World) -> str:
    return merged_saying(world, "Requested-by: ada\n", "Requested-by: ada\nRequested-by: bo\n")


def names_another_pull_request(world: World) -> str:
    return merged_saying(world, "Pull-Request: #3", "Pull-Request: #1")


def names_another_approver(world: World) -> str:
    return merged_saying(world, "Approved-by: bo", "Approved-by: zoe")


def trailers_out_of_sight(world: World) -> str:
    """Some forges add a paragraph to a squash; what git takes for trailers is then only that."""
    return merged_saying(world, "Pull-Request: #3", "\nCo-authored-by: cy <cy@shop.invalid>")


def more_files(world: World) -> str:
    def change(files: Files, message: str) -> str:
        files["argo/root.yaml"] = b"kind: Application\n"
        return message

    return forge_branch(world, 3, change)


def what_is_held(world: World) -> str:
    """Proposed before the rollback and merged unchecked after it."""
    roll_back(world)
    live = on_trunk(world, RELEASE)
    two = next(each for each in world.forge.pull_requests(f"promote/{ENVIRONMENT}/2-"))
    path = evidence_of(world, 2)
    files: dict[str, bytes | None] = {
        RELEASE: world.git.read(two.head, RELEASE),
        path: on_trunk(world, path).replace(b'"format": 1', b'"format":  1'),
    }
    assert files[RELEASE] != live
    old, new = (hashlib.sha256(data or b"").hexdigest() for data in (on_trunk(world, path), files[path]))
    message = world.git.commit(two.head).message.replace(old, new)
    commit = by_pull_request(
        world, message, files, f"promote/{ENVIRONMENT}/2-abc1234-ffffffffffff", "promoter"
    )
    number = world.forge.pull_requests(f"promote/{ENVIRONMENT}/2-abc1234-ffffffffffff")[0].number
    world.edit_body(number, two.body)
    return commit


def a_revert_of_something_else(world: World) -> str:
    first = merge_of(world, 1)
    release = on_trunk(world, RELEASE).replace(b"abc1234", b"zzz")
    return by_pull_request(world, f"back\n\nThis reverts commit {first}.\n", {RELEASE: release}, "back")


def a_revert_that_restores_something_else(world: World) -> str:
    second = merge_of(world, 2)
    release = on_trunk(world, RELEASE).replace(b"abc1234", b"zzz")
    return by_pull_request(world, f"back\n\nThis reverts commit {second}.\n", {RELEASE: release}, "back")


def a_revert_of_nothing(world: World) -> str:
    release = on_trunk(world, RELEASE).replace(b"abc1234", b"zzz")
    return by_pull_request(world, f"back\n\nThis reverts commit {'f' * 40}.\n", {RELEASE: release}, "back")


def a_revert_that_edits_evidence(world: World) -> str:
    second, path = merge_of(world, 2), evidence_of(world, 2)
    files = {
        RELEASE: world.git.read(f"{second}~1", RELEASE),
        path: on_trunk(world, path).replace(b"0.9", b"0.8"),
    }
    return by_pull_request(world, f"back\n\nThis reverts commit {second}.\n", files, "back")


def a_plain_revert_pushed(world: World) -> str:
    return world.revert_as_person(merge_of(world, 2) or "")


def a_false_revert_pushed(world: World) -> str:
    release = on_trunk(world, RELEASE).replace(b"abc1234", b"zzz")
    return world.commit_as_person(f"back\n\nThis reverts commit {merge_of(world, 2)}.\n", {RELEASE: release})


def a_rollback_whose_text_names_another(world: World) -> str:
    commit = roll_back(world)
    number = world.forge.pull_requests(f"rollback/{ENVIRONMENT}/")[0].number
    body = world.forge.get(number).body
    world.edit_body(number, body.replace(merge_of(world, 2) or "?", "f" * 40))
    return commit


def unreadable_release(world: World) -> str:
    """Kustomize reads it, promotion does not: production moves and no history shows it."""
    release = on_trunk(world, RELEASE).replace(b'"abc1234"', b"'zzz'")
    return world.commit_as_person("quotes", {RELEASE: release})


def deleted_release(world: World) -> str:
    return by_pull_request(world, "no more", {RELEASE: None}, "no-more")


def looser_rules(world: World) -> str:
    return world.commit_as_person("faster", {RULES: ANYTHING_GOES})


def deleted_rules(world: World) -> str:
    with temporary_copy(world.forge) as copy:
        tree = copy.tree_with(TRUNK, {RULES: None})
        old = copy.commit(TRUNK).id
        new = copy.commit_tree(tree, [old], "tidy", Identity("eve", "e@x.invalid"), world.tick())
        assert copy.push([RefUpdate(TRUNK, old, new)])
    return new


def amended(world: World) -> str:
    """The last promotion on the trunk is replaced by one with another image."""
    tip = world.git.commit(TRUNK)
    release = on_trunk(world, RELEASE).replace(b"abc1234", b"zzz")
    with temporary_copy(world.forge) as copy:
        tree = copy.tree_with(tip.id, {RELEASE: f"100644 {copy.write_blob(release)}"})
        new = copy.commit_tree(
            tree, [f"{tip.id}~1"], tip.message, Identity("eve", "e@x.invalid"), world.tick()
        )
        assert copy.push([RefUpdate(TRUNK, tip.id, new)])
    return new


FAULTS: list[tuple[Fault, Kind]] = [
    (edited_evidence_later, Kind.EVIDENCE_CHANGED),
    (deleted_evidence_later, Kind.EVIDENCE_CHANGED),
    (planted_evidence, Kind.EVIDENCE_CHANGED),
    (edited_evidence_at_the_merge, Kind.EVIDENCE_DIGEST),
    (edited_evidence_with_a_digest_that_fits, Kind.FORGED_BLOCK),
    (no_evidence, Kind.NO_EVIDENCE),
    (evidence_of_another_environment, Kind.EVIDENCE_FACTS),
    (evidence_of_another_step, Kind.EVIDENCE_FACTS),
    (evidence_without_a_model, Kind.EVIDENCE_FACTS),
    (closed_gate, Kind.GATE_CLOSED),
    (no_gates, Kind.GATE_CLOSED),
    (waived_by_the_requester, Kind.GATE_CLOSED),
    (directly_pushed, Kind.DIRECT_PUSH),
    (directly_pushed_with_everything, Kind.DIRECT_PUSH),
    (in_a_docs_commit, Kind.DIRECT_PUSH),
    (a_false_revert_pushed, Kind.DIRECT_PUSH),
    (by_another_branch, Kind.OTHER_BRANCH),
    (by_a_branch_of_another_environment, Kind.OTHER_BRANCH),
    (without_approval, Kind.NO_APPROVAL),
    (another_head_than_the_approved, Kind.NO_APPROVAL),
    (marked_as_merged_by_hand, Kind.OTHER_HEAD),
    (approved_by_its_author, Kind.AUTHOR_APPROVED),
    (approved_by_its_author_and_another, Kind.AUTHOR_APPROVED),
    (approved_by_who_asked, Kind.REQUESTER_APPROVED),
    (approved_by_who_asked_in_capitals, Kind.REQUESTER_APPROVED),
    (forged_block, Kind.FORGED_BLOCK),
    (forged_block_of_another_type, Kind.FORGED_BLOCK),
    (forged_block_that_says_it_twice, Kind.FORGED_BLOCK),
    (second_block, Kind.FORGED_BLOCK),
    (deleted_text, Kind.FORGED_BLOCK),
    (block_of_another_kind, Kind.FORGED_BLOCK),
    (wrong_trailer, Kind.TRAILERS),
    (nobody_asked, Kind.TRAILERS),
    (two_asked, Kind.TRAILERS),
    (names_another_pull_request, Kind.TRAILERS),
    (names_another_approver, Kind.TRAILERS),
    (more_files, Kind.MORE_FILES),
    (what_is_held, Kind.HELD),
    (a_revert_of_something_else, Kind.BAD_REVERT),
    (a_revert_that_restores_something_else, Kind.BAD_REVERT),
    (a_revert_of_nothing, Kind.BAD_REVERT),
    (a_revert_that_edits_evidence, Kind.EVIDENCE_CHANGED),
    (a_plain_revert_pushed, Kind.REVERT_PUSHED),
    (a_rollback_whose_text_names_another, Kind.FORGED_BLOCK),
    (unreadable_release, Kind.UNREADABLE),
    (deleted_release, Kind.UNREADABLE),
    (looser_rules, Kind.RULES_CHANGED),
    (deleted_rules, Kind.RULES_CHANGED),
    (amended, Kind.REWRITTEN),
]
"""Each makes one finding of this kind, at the commit whose id it returns."""
