"""A pull request is merged only if it is exactly what promote writes."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from scripts.check import checked
from scripts.errors import Refused
from scripts.evidence import Evidence
from scripts.forge import PullRequest
from scripts.git import Identity
from scripts.pull_request import promotion_body
from scripts.release_file import edit
from scripts.repository import TRUNK, RefUpdate, temporary_copy
from scripts.rollback import open_rollback
from tests.scripts.world import World

RELEASE_PATH = "environments/local/release.yaml"


@dataclass
class Forgery:
    """Another commit in place of a pull request's, as somebody who forges one would push it."""

    world: World
    pull_request: PullRequest
    files: dict[str, bytes]
    message: str

    @property
    def evidence_path(self) -> str:
        return next(path for path in self.files if path.endswith(".json"))

    @property
    def evidence(self) -> Evidence:
        return Evidence.from_bytes(self.files[self.evidence_path])

    def tell(self, evidence: Evidence) -> None:
        """Put another text into the pull request, as the forge's own page lets anybody do."""
        body = promotion_body(evidence, diff=None, rollback="x")
        self.world.edit_body(self.pull_request.number, body)

    def replace_evidence(self, **fields: object) -> None:
        """Other evidence with a digest and a text that fit it."""
        old = self.evidence
        new = old.model_copy(update=fields)
        self.tell(new)
        self.files[self.evidence_path] = new.to_bytes()
        self.message = self.message.replace(old.sha256, new.sha256)


Change = Callable[[Forgery], None]


def forge(world: World, pull_request: PullRequest, change: Change) -> None:
    paths = world.git.changed_paths(TRUNK, pull_request.head)
    files = {path: world.git.read(pull_request.head, path) or b"" for path in paths}
    forgery = Forgery(world, pull_request, files, world.git.commit(pull_request.head).message)
    change(forgery)
    with temporary_copy(world.forge.remote) as copy:
        author = Identity("eve", "eve@x.invalid")
        head = copy.propose(TRUNK, forgery.files, forgery.message, author, world.tick())
        assert copy.push([RefUpdate(f"refs/heads/{pull_request.branch}", pull_request.head, head)])


def nothing(forgery: Forgery) -> None:
    pass


def other_model(forgery: Forgery) -> None:
    forgery.files[RELEASE_PATH] = forgery.files[RELEASE_PATH].replace(b'"1"', b'"7"')


def other_image(forgery: Forgery) -> None:
    forgery.files[RELEASE_PATH] = forgery.files[RELEASE_PATH].replace(b"abc1234", b"zzz")


def more_files(forgery: Forgery) -> None:
    forgery.files["environments/base/forecast/deployment.yaml"] = b"privileged: true\n"


def more_of_the_release_file(forgery: Forgery) -> None:
    forgery.files[RELEASE_PATH] += b"# x\n"


def no_evidence(forgery: Forgery) -> None:
    del forgery.files[forgery.evidence_path]


def edited_evidence(forgery: Forgery) -> None:
    path = forgery.evidence_path
    forgery.files[path] = forgery.files[path].replace(b"0.9", b"0.1")


def reformatted_evidence(forgery: Forgery) -> None:
    path = forgery.evidence_path
    forgery.files[path] = json.dumps(json.loads(forgery.files[path])).encode()


def evidence_of_another_environment(forgery: Forgery) -> None:
    forgery.replace_evidence(environment="production")


def closed_gate(forgery: Forgery) -> None:
    gates = tuple(gate.model_copy(update={"passed": False}) for gate in forgery.evidence.gates)
    forgery.replace_evidence(gates=gates)


def no_gates(forgery: Forgery) -> None:
    forgery.replace_evidence(gates=())


def forged_block(forgery: Forgery) -> None:
    forgery.tell(forgery.evidence.model_copy(update={"requested_by": "cy"}))


def message(old: str, new: str) -> Change:
    def change(forgery: Forgery) -> None:
        assert old in forgery.message
        forgery.message = forgery.message.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (other_model, "touches environments/local/evidence/1-abc1234.json"),
        (more_files, "touches environments/base/forecast/deployment.yaml"),
        (more_of_the_release_file, "changes more than the values"),
        (no_evidence, "does not touch environments/local/evidence/1"),
        (edited_evidence, "another JSON block"),
        (reformatted_evidence, "evidence was edited"),
        (evidence_of_another_environment, "another environment"),
        (closed_gate, "has a closed gate: gate, benchmark"),
        (no_gates, "has a closed gate: none was judged"),
        (message("Evidence-Sha256: ", "Evidence-Sha256: 0"), "another trailer Evidence-Sha256"),
        (message("Requested-by: ada", "Requested-by: bo"), "another trailer Requested-by"),
        (message("Requested-by: ada", "Requested-by: ada\nRequested-by: bo"), "another trailer Requested-by"),
        (message("Requested-by: ada", "Asked-by: ada"), "another trailer Requested-by"),
        (message("Image-Tag: abc1234", "Image-Tag: latest"), "another trailer Image-Tag"),
        (forged_block, "another JSON block"),
    ],
)
def test_a_forged_promotion_is_not_merged(world: World, change: Change, text: str) -> None:
    world.train(1)
    opened = world.open().pull_request
    assert opened is not None
    forge(world, opened, change)
    with pytest.raises(Refused, match=text):
        world.merge()
    assert world.live().model_version == 0


def test_a_rewritten_promotion_that_says_the_same_is_merged(world: World) -> None:
    """The control of the test above: rewriting alone does not make it refuse."""
    world.train(1)
    opened = world.open().pull_request
    assert opened is not None
    forge(world, opened, nothing)
    assert world.merge().release.model_version == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (more_of_the_release_file, "changes more than the values"),
        (more_files, "touches environments/base"),
        (message("This reverts commit", "This reverts"), "does not say that it reverts"),
        (message("Requested-by", "Asked-by"), "does not say who asked"),
        (other_image, "another release"),
    ],
)
def test_a_forged_rollback_is_not_merged(two_live: World, change: Change, text: str) -> None:
    opened = open_rollback(two_live.bridge, "local", "ada", "why").pull_request
    assert opened is not None
    forge(two_live, opened, change)
    with pytest.raises(Refused, match=text):
        two_live.merge()
    assert two_live.live().model_version == 2


def test_production_needs_an_approval_by_somebody_who_did_not_ask(tmp_path: Path) -> None:
    world = World(tmp_path, ("production",))
    world.train(1)
    opened = world.open(environment="production").pull_request
    assert opened is not None
    with pytest.raises(Refused, match="needs an approval before it reaches production"):
        world.merge(environment="production")
    world.forge.acting_as("ada").approve(opened.number, opened.head)
    with pytest.raises(Refused, match="asked for and approved by ada"):
        world.merge(environment="production")


def test_an_approved_production_release_says_by_whom(tmp_path: Path) -> None:
    world = World(tmp_path, ("production",))
    world.train(1)
    opened = world.open(environment="production").pull_request
    assert opened is not None
    world.forge.acting_as("bo").approve(opened.number, opened.head)
    merged = world.merge(environment="production")
    commit = world.git.commit(merged.commit)
    assert commit.subject == "production: model 1, image abc1234 (#1)"
    assert (commit.trailer("Approved-by"), commit.trailer("Pull-Request")) == ("bo", "#1")
    assert commit.trailer("Requested-by") == "ada"


def test_a_pull_request_from_another_branch_is_not_one_of_promotes(world: World) -> None:
    world.train(1)
    opened = world.open().pull_request
    assert opened is not None
    with temporary_copy(world.forge.remote) as copy, pytest.raises(Refused, match="comes from 'feature/x'"):
        checked(copy, replace(opened, branch="feature/x"), "local")


def test_merging_again_says_the_same(world: World) -> None:
    world.train(1)
    world.open()
    merged = world.merge()
    refs = world.refs()
    assert world.merge(1) == merged
    assert world.refs() == refs


def test_which_one_is_meant_has_to_be_clear(tmp_path: Path) -> None:
    world = World(tmp_path, ("local", "staging"))
    with pytest.raises(Refused, match="local has none open"):
        world.merge()
    world.train(1)
    world.open()
    with pytest.raises(Refused, match=r"#1 .* is no proposal for staging"):
        world.merge(1, "staging")
    world.forge.close(1, "no")
    with pytest.raises(Refused, match="was closed by promoter"):
        world.merge(1)


def test_a_held_release_is_not_merged_even_if_it_was_opened_before(world: World) -> None:
    world.promote(1)
    world.train(2)
    opened = world.open("2", "abc1234")
    assert opened.pull_request is not None
    commit = world.commit_as_person("by hand", {RELEASE_PATH: edit(world.file(), opened.release)})
    world.revert_as_person(commit)
    with pytest.raises(Refused, match="brings back what is held"):
        world.merge(opened.pull_request.number)
