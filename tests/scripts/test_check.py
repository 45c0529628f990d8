"""A pull request passes only if it is exactly what promote writes for it now, and the world is as it says."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from scripts.check.proposal import Checked, checked
from scripts.errors import Broken, Refused
from scripts.evidence import gates
from scripts.evidence.record import Evidence, Waiver
from scripts.evidence.rules import parse_rules, rules_path_of
from scripts.forges.forge import PullRequest
from scripts.history.git import Identity
from scripts.history.repository import TRUNK, RefUpdate, Repository, temporary_copy
from scripts.promotion.bridge import Bridge, Wish
from scripts.promotion.opening import open_promotion
from scripts.promotion.pull_request import promotion_body
from scripts.promotion.rollback import open_rollback
from scripts.release_file import edit, evidence_path_of
from tests.scripts.test_promotion import flip_a_byte, remove_bundle, remove_snapshot
from tests.scripts.world import FROM_STAGING, World, no_kustomize, release_diff

RELEASE_PATH = "environments/local/release.yaml"
ROLLBACK = 'python -m scripts.promote rollback --environment local --reason "…"'


@dataclass
class Forgery:
    """Another commit in place of a pull request's, as somebody who forges one would push it."""

    world: World
    pull_request: PullRequest
    files: dict[str, bytes]
    message: str
    mode: str = "100644"

    @property
    def evidence_path(self) -> str:
        return next(path for path in self.files if path.endswith(".json"))

    @property
    def evidence(self) -> Evidence:
        return Evidence.from_bytes(self.files[self.evidence_path])

    def tell(self, evidence: Evidence) -> None:
        """Put another text into the pull request, as the forge's own page lets anybody do."""
        environment = self.pull_request.branch.split("/")[1]
        shown = self.pull_request.body.split("```diff\n")[1].split("\n```\n")[0]
        rollback = ROLLBACK.replace("local", environment)
        body = promotion_body(evidence, diffs={environment: shown}, rollback=rollback)
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
    with temporary_copy(world.forge) as copy:
        entries = {path: f"{forgery.mode} {copy.write_blob(data)}" for path, data in forgery.files.items()}
        author = Identity("eve", "eve@x.invalid")
        head = copy.commit_tree(
            copy.tree_with(TRUNK, entries), [TRUNK], forgery.message, author, world.tick()
        )
        assert copy.push([RefUpdate(f"refs/heads/{pull_request.branch}", pull_request.head, head)])


def opened(world: World, environment: str = "local") -> PullRequest:
    world.train(1)
    pull_request = world.open(environment=environment).pull_request
    assert pull_request is not None
    return pull_request


def look(
    world: World,
    number: int,
    environment: str = "local",
    *,
    approved: bool = False,
    bridge: Bridge | None = None,
) -> Checked:
    with temporary_copy(world.forge) as copy:
        return checked(bridge or world.bridge, copy, world.forge.get(number), environment, approved=approved)


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


def evidence_against_another_release(forgery: Forgery) -> None:
    forgery.replace_evidence(replaces=forgery.evidence.release)


def closed_gate(forgery: Forgery) -> None:
    gates = tuple(gate.model_copy(update={"passed": False}) for gate in forgery.evidence.gates)
    forgery.replace_evidence(gates=gates)


def no_gates(forgery: Forgery) -> None:
    forgery.replace_evidence(gates=())


def better_verdict(forgery: Forgery) -> None:
    """Everything in the pull request agrees; only the registry knows better."""
    verdict = forgery.evidence.verdict
    assert verdict is not None
    other = forgery.evidence.model_copy(update={"verdict": verdict.model_copy(update={"ratio": 0.86})})
    rules = parse_rules(b"needs_approval: false\nimages: false\n", "local")
    forgery.replace_evidence(verdict=other.verdict, gates=gates.of(other, rules))


def better_benchmark(forgery: Forgery) -> None:
    rows = tuple({**row, "wape": 0.1} for row in forgery.evidence.benchmark)
    forgery.replace_evidence(benchmark=rows)


def other_code(forgery: Forgery) -> None:
    forgery.replace_evidence(model=forgery.evidence.model.model_copy(update={"code_commit": "f" * 40}))


def images_that_nobody_looked_up(forgery: Forgery) -> None:
    forgery.replace_evidence(images={"forecast": f"sha256:{'0' * 64}"})


def forged_block(forgery: Forgery) -> None:
    forgery.tell(forgery.evidence.model_copy(update={"requested_by": "cy"}))


def text(old: str, new: str) -> Change:
    def change(forgery: Forgery) -> None:
        body = forgery.pull_request.body
        assert old in body
        forgery.world.edit_body(forgery.pull_request.number, body.replace(old, new, 1))

    return change


def mode(other: str) -> Change:
    return lambda forgery: vars(forgery).update(mode=other)


def message(old: str, new: str) -> Change:
    def change(forgery: Forgery) -> None:
        assert old in forgery.message
        forgery.message = forgery.message.replace(old, new)

    return change


FORGERIES = [
    (other_model, "touches environments/local/evidence/1-abc1234.json"),
    (more_files, "touches environments/base/forecast/deployment.yaml"),
    (more_of_the_release_file, "changes more than the values"),
    (no_evidence, "does not touch environments/local/evidence/1"),
    (mode("100755"), "something else than a plain file"),
    (edited_evidence, "another JSON block"),
    (reformatted_evidence, "evidence was edited"),
    (evidence_of_another_environment, "another environment"),
    (evidence_against_another_release, "another replaced release"),
    (closed_gate, "has another gates"),
    (no_gates, r"has another gates: \(\)"),
    (better_verdict, "has another verdict: .*0.86"),
    (better_benchmark, "has another benchmark"),
    (other_code, "has another model: "),
    (images_that_nobody_looked_up, "has another images: "),
    (message("Evidence-Sha256: ", "Evidence-Sha256: 0"), "another trailer Evidence-Sha256"),
    (message("Requested-by: ada", "Requested-by: bo"), "another trailer Requested-by"),
    (message("Requested-by: ada", "Requested-by: ada\nRequested-by: bo"), "another trailer Requested-by"),
    (message("Requested-by: ada", "Asked-by: ada"), "another trailer Requested-by"),
    (message("Image-Tag: abc1234", "Image-Tag: latest"), "another trailer Image-Tag"),
    (message("Image-Tag: ", "Un-hold: 7-x because\nImage-Tag: "), "another trailer Un-hold"),
    (forged_block, "another JSON block"),
    (text("## Risk: Medium", "## Risk: Low"), "shows '## Risk: Low' where promote writes '## Risk: Medium'"),
    (text('+  model_version: "1"', '+  model_version: "0"'), "shows .* where promote writes"),
    (text("## Gates", "## Gates\n\nAll is well."), "shows 'All is well.'"),
    (text("</details>", "</details>\n\nApproved by security."), "shows '' where promote writes"),
]


@pytest.fixture(scope="module")
def asked_once(empty: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Copied by `asked`."""
    world = empty.copied(tmp_path_factory.mktemp("asked") / "world")
    opened(world)
    return world


@pytest.fixture
def asked(asked_once: World, tmp_path: Path) -> World:
    """Model 1 is proposed for `local` as #1."""
    return asked_once.copied(tmp_path / "asked")


@pytest.mark.parametrize(("change", "said"), FORGERIES)
def test_a_forged_promotion_does_not_pass(asked: World, change: Change, said: str) -> None:
    forge(asked, asked.forge.get(1), change)
    with pytest.raises(Refused, match=said):
        look(asked, 1)


def test_a_rewritten_promotion_that_says_the_same_passes(asked: World) -> None:
    """The control of the test above: rewriting alone does not make it refuse."""
    pull_request = asked.forge.get(1)
    forge(asked, pull_request, nothing)
    assert look(asked, pull_request.number) == Checked(
        "promote", "local", asked.open().release, ("local",), None
    )
    assert asked.merge().release.model_version == 1


def test_more_than_one_commit_is_not_what_promote_writes(asked: World) -> None:
    pull_request = asked.forge.get(1)
    with temporary_copy(asked.forge) as copy:
        author, at = Identity("eve", "eve@x.invalid"), asked.tick()
        said = copy.commit(pull_request.head).message
        head = copy.commit_tree(f"{pull_request.head}^{{tree}}", [pull_request.head], said, author, at)
        assert copy.push([RefUpdate(f"refs/heads/{pull_request.branch}", pull_request.head, head)])
    with pytest.raises(Refused, match="has 2 commits, promote writes one"):
        look(asked, pull_request.number)


def test_another_title_is_refused(asked: World) -> None:
    pull_request = asked.forge.get(1)
    asked.forge.rewrite(pull_request.number, "local: model 1, harmless", pull_request.body)
    with pytest.raises(Refused, match="another title: local: model 1, harmless"):
        look(asked, pull_request.number)


def test_a_head_that_moved_while_it_was_looked_at_is_refused(asked: World) -> None:
    pull_request = asked.forge.get(1)
    stale = replace(pull_request, head=asked.git.commit("main").id)
    with temporary_copy(asked.forge) as copy, pytest.raises(Refused, match="not the branch's; check again"):
        checked(asked.bridge, copy, stale, "local", approved=False)


def test_a_pull_request_from_another_branch_is_not_one_of_promotes(asked: World) -> None:
    other = replace(asked.forge.get(1), branch="feature/x")
    with temporary_copy(asked.forge) as copy, pytest.raises(Refused, match="comes from 'feature/x'"):
        checked(asked.bridge, copy, other, "local", approved=False)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(flip_a_byte, "bad_bundle"), (remove_bundle, "bad_bundle"), (remove_snapshot, "no_snapshot")],
)
def test_a_model_that_was_damaged_since_does_not_pass(
    asked: World, damage: Callable[[World, str], None], reason: str
) -> None:
    pull_request = asked.forge.get(1)
    damage(asked, asked.registry.entries[1].sha256)
    with pytest.raises(Refused) as caught:
        look(asked, pull_request.number)
    assert caught.value.reason == reason


def test_a_sha256_that_is_not_the_registrys_does_not_pass(asked: World) -> None:
    pull_request = asked.forge.get(1)
    asked.registry.entries[1] = replace(asked.registry.entries[1], sha256="f" * 64)
    with pytest.raises(Refused, match="another model_sha256"):
        look(asked, pull_request.number)


def test_what_was_refused_passes_once_its_cause_is_gone(asked: World) -> None:
    pull_request = asked.forge.get(1)
    place = asked.folder / f"models/bundles/{asked.registry.entries[1].sha256}.tar"
    whole = place.read_bytes()
    flip_a_byte(asked, asked.registry.entries[1].sha256)
    with pytest.raises(Refused):
        look(asked, pull_request.number)
    place.write_bytes(whole)
    assert look(asked, pull_request.number).release.model_version == 1


def test_an_older_model_does_not_pass_whatever_its_evidence_says(two_live: World) -> None:
    def older(forgery: Forgery) -> None:
        old_path = forgery.evidence_path
        release = two_live.promoted[1].release.model_copy(update={"image_tag": "def5678"})
        forgery.replace_evidence(release=release)
        evidence = forgery.files.pop(old_path)
        live = two_live.file()
        forgery.files = {RELEASE_PATH: edit(live, release), evidence_path_of("local", release): evidence}

    two_live.train(3)
    pull_request = two_live.open().pull_request
    assert pull_request is not None
    forge(two_live, pull_request, older)
    with pytest.raises(Refused, match="brings a model older than the live 2"):
        look(two_live, pull_request.number)


# What is rendered.


def lines(change: str, around: Callable[[Repository], str]) -> Callable[[Repository, str, str, str], str]:
    """A rendering whose diff has these changed lines, and around them what the trunk says."""

    def render(repository: Repository, base: str, head: str, environment: str) -> str:
        return f"--- a\n+++ b\n@@ -{len(around(repository))} @@\n {around(repository)}\n{change}\n"

    return render


def with_render(world: World, render: Callable[[Repository, str, str, str], str]) -> Bridge:
    return replace(world.bridge, render=render)


def test_a_change_around_the_shown_lines_does_not_matter_and_one_of_them_does(world: World) -> None:
    def trunk(repository: Repository) -> str:
        return repository.commit(TRUNK).id

    pull_request = opened(world)
    before = with_render(world, lines("-old\n+new", trunk))
    world.edit_body(1, world_text(world, before))
    assert look(world, 1, bridge=before).alters == ("local",)
    world.commit_as_person("docs", {"docs/x.md": b"x"})
    assert look(world, 1, bridge=before).alters == ("local",)
    after = with_render(world, lines("-old\n+newer", trunk))
    with pytest.raises(Refused, match=r"shows '\+new' where promote writes '\+newer'; open it again"):
        look(world, 1, bridge=after)
    assert pull_request.number == 1


def world_text(world: World, bridge: Bridge) -> str:
    """The text that opening with this rendering gives."""
    shown = open_promotion(bridge, Wish("local", "ada", "1", "abc1234")).pull_request
    assert shown is not None
    return shown.body


def test_opening_again_tells_anew_what_has_changed_unless_it_is_approved(world: World) -> None:
    opened(world)
    wish = Wish("local", "ada", "1", "abc1234")
    other = with_render(world, lines("-old\n+new", lambda _: "x"))
    again = open_promotion(other, wish)
    assert (again.action, again.pull_request and again.pull_request.number) == ("found", 1)
    assert look(world, 1, bridge=other).release == again.release
    refs = world.refs()
    open_promotion(other, wish)
    assert world.refs() == refs
    world.forge.acting_as("bo").approve(1, world.forge.get(1).head)
    refs = world.refs()
    assert open_promotion(world.bridge, wish).action == "found"
    assert world.refs() == refs
    with pytest.raises(Refused, match="an approved one after dismissing that"):
        look(world, 1)


def test_a_promotion_that_alters_another_environment_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, ("local", "staging"))
    world.train(1)

    def both(repository: Repository, base: str, head: str, environment: str) -> str:
        return release_diff(repository, base, head, "local")

    bridge = with_render(world, both)
    world_text(world, bridge)
    with pytest.raises(Refused, match="alters the manifests of staging too"):
        look(world, 1, bridge=bridge)


# Where images, a source and approvals are needed.


@pytest.fixture(scope="module")
def proposed(tried: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Copied by `shop`."""
    world = tried.copied(tmp_path_factory.mktemp("proposed") / "world")
    world.open(None, None, "production")
    return world


@pytest.fixture
def shop(proposed: World, tmp_path: Path) -> World:
    """Model 1 was promoted to staging, soaked, and is proposed for production as #2."""
    return proposed.copied(tmp_path / "shop")


def test_a_promotion_to_production_awaits_its_approval(shop: World) -> None:
    found = look(shop, 2, "production")
    assert (found.kind, found.alters, found.awaits) == (
        "promote",
        ("production",),
        "an approval, not by ada",
    )
    with pytest.raises(Refused, match="#2 needs an approval, not by ada"):
        look(shop, 2, "production", approved=True)
    shop.forge.acting_as("bo").approve(2, shop.forge.get(2).head)
    assert look(shop, 2, "production", approved=True).awaits is None
    assert shop.merge(2, "production").release == shop.live("staging")


@pytest.mark.parametrize(
    ("approver", "said"), [("ada", "asked for"), ("ADA", "asked for"), ("Promoter", "opened")]
)
def test_who_asked_or_opened_does_not_approve(shop: World, approver: str, said: str) -> None:
    pull_request = replace(shop.forge.get(2), approved_by=("bo", approver))
    for approved in (False, True):
        with temporary_copy(shop.forge) as copy, pytest.raises(Refused, match=f"{said} and approved by"):
            checked(shop.bridge, copy, pull_request, "production", approved=approved)


def test_who_waived_a_gate_approves_and_is_not_who_asked(tmp_path: Path) -> None:
    world = World(tmp_path, ("production",))
    world.train(1, verdict={"answer": "worse", "against": "naive"})
    waiver = {"better_than_champion": Waiver(by="cy", reason="a holiday")}
    assert world.open(environment="production", waivers=waiver).pull_request
    world.forge.acting_as("bo").approve(1, world.forge.get(1).head)
    assert look(world, 1, "production").awaits == "an approval by cy, who waived a gate"
    with pytest.raises(Refused, match="needs an approval by cy, who waived"):
        world.merge(1, "production")
    world.forge.acting_as("cy").approve(1, world.forge.get(1).head)
    assert world.merge(1, "production").release.model_version == 1


def test_a_tag_that_was_moved_or_is_gone_does_not_pass(shop: World) -> None:
    image = "registry.example.com/shop/forecast:abc1234"
    shop.images.moved.add(image)
    with pytest.raises(Refused) as caught:
        look(shop, 2, "production")
    assert caught.value.reason == "moved_tag"
    shop.images.moved.clear()
    shop.images.missing.add(image)
    with pytest.raises(Refused) as caught:
        look(shop, 2, "production")
    assert caught.value.reason == "no_image"
    shop.images.missing.clear()
    assert look(shop, 2, "production").kind == "promote"


def test_without_registry_or_kustomize_nothing_passes_and_trying_again_may_help(shop: World) -> None:
    with pytest.raises(Broken, match="no image registry is configured"):
        look(shop, 2, "production", bridge=replace(shop.bridge, images=None))
    with pytest.raises((Broken, Refused)) as caught:
        look(shop, 2, "production", bridge=with_render(shop, no_kustomize))
    assert "kustomize" in str(caught.value)


def test_a_release_that_changes_no_manifest_would_deploy_nothing(shop: World) -> None:
    bridge = with_render(shop, lambda *_: "")
    bridge = replace(bridge, metrics=shop.metrics)
    open_promotion(bridge, Wish("production", "ada"))
    with pytest.raises(Refused, match="changes no manifest of production"):
        look(shop, 2, "production", bridge=bridge)


def limits(**changed: float) -> bytes:
    rules = FROM_STAGING
    for name, value in changed.items():
        before = next(line for line in rules.splitlines() if name.encode() in line)
        rules = rules.replace(before, before.split(b":")[0] + f": {value}".encode())
    return rules


def test_the_rules_are_those_of_the_trunk_now(shop: World) -> None:
    path = rules_path_of("production")
    shop.commit_as_person("stricter", {path: limits(p95_seconds=0.01)})
    with pytest.raises(Refused, match="has a closed gate: latency"):
        look(shop, 2, "production")
    shop.commit_as_person("as before", {path: FROM_STAGING})
    assert look(shop, 2, "production").kind == "promote"


def test_rules_that_changed_and_would_still_pass_need_a_new_proposal(shop: World) -> None:
    shop.commit_as_person("looser", {rules_path_of("production"): limits(p95_seconds=0.9)})
    with pytest.raises(Refused, match="has another gates"):
        look(shop, 2, "production")
    again = shop.open(None, None, "production")
    assert again.superseded == (2,)
    assert again.pull_request is not None
    assert look(shop, again.pull_request.number, "production").kind == "promote"


def test_a_soak_that_git_does_not_know_of_does_not_pass(shop: World) -> None:
    """The numbers are forged with digest, gates and text to fit; the history of staging is not."""

    def earlier(forgery: Forgery) -> None:
        traffic = forgery.evidence.traffic
        assert traffic is not None
        day = timedelta(days=1)
        moved = {"since": traffic.since - day, "until": traffic.until - day}
        forgery.replace_evidence(traffic=traffic.model_copy(update=moved))

    forge(shop, shop.forge.get(2), earlier)
    with pytest.raises(Refused, match=r"says that staging ran 1-abc1234 from 2026-10-31 .* Git does not"):
        look(shop, 2, "production")


def test_what_staging_rolled_back_since_does_not_pass(shop: World) -> None:
    shop.promote(2, environment="staging")
    assert (
        look(shop, 2, "production").release.model_version == 1
    )  # staging has moved on, which proves nothing
    shop.revert_as_person(shop.promoted[2].commit)
    assert look(shop, 2, "production").release.model_version == 1
    shop.revert_as_person(shop.promoted[1].commit)
    with pytest.raises(Refused, match="brings what staging holds"):
        look(shop, 2, "production")


# Rollbacks.


def back(world: World, environment: str = "local") -> PullRequest:
    pull_request = open_rollback(world.bridge, environment, "ada", "why").pull_request
    assert pull_request is not None
    return pull_request


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (more_of_the_release_file, "changes more than the values"),
        (more_files, "touches environments/base"),
        (message("This reverts commit", "This reverts"), "does not say that it reverts"),
        (message("Requested-by", "Asked-by"), "does not say who asked"),
        (message("\n\nwhy\n", "\n\nwhy not\n"), "shows 'why' where promote writes 'why not'"),
        (message("Image-Tag: ", "Un-hold: 2-abc1234 x\nImage-Tag: "), "another trailer Un-hold"),
        (other_image, "another release"),
        (text("stays held", "is free again"), "shows .* where promote writes"),
    ],
)
def test_a_forged_rollback_does_not_pass_and_is_not_merged(
    two_live: World, change: Change, said: str
) -> None:
    pull_request = back(two_live)
    forge(two_live, pull_request, change)
    with pytest.raises(Refused, match=said):
        look(two_live, pull_request.number)
    with pytest.raises(Refused, match=said):
        two_live.merge()
    assert two_live.live().model_version == 2


def test_a_rollback_that_is_as_promote_writes_it_passes(two_live: World) -> None:
    pull_request = back(two_live)
    forge(two_live, pull_request, nothing)
    assert look(two_live, pull_request.number).kind == "rollback"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(flip_a_byte, "bad_bundle"), (remove_bundle, "bad_bundle"), (remove_snapshot, "no_snapshot")],
)
def test_a_rollback_to_what_is_gone_by_now_does_not_pass(
    two_live: World, damage: Callable[[World, str], None], reason: str
) -> None:
    pull_request = back(two_live)
    damage(two_live, two_live.promoted[1].release.model_sha256)
    with pytest.raises(Refused) as caught:
        look(two_live, pull_request.number)
    assert caught.value.reason == reason


def test_a_rollback_that_asks_for_another_reason_finds_the_first_and_its_text(two_live: World) -> None:
    pull_request = back(two_live)
    refs = two_live.refs()
    again = open_rollback(two_live.bridge, "local", "bo", "another reason")
    assert (again.action, again.pull_request) == ("found", pull_request)
    assert two_live.refs() == refs
    assert look(two_live, pull_request.number).kind == "rollback"


def test_what_follows_the_release_without_one_of_its_own_may_change_with_it(tmp_path: Path) -> None:
    world = World(tmp_path, ("production",))
    world.commit_as_person(
        "shared", {"environments/platform/kustomization.yaml": b"resources: [../production]\n"}
    )
    world.train(1)

    def following(repository: Repository, base: str, head: str, environment: str) -> str:
        return release_diff(repository, base, head, "production")

    bridge = with_render(world, following)
    open_promotion(bridge, Wish("production", "ada", "1", "abc1234"))
    world.forge.acting_as("bo").approve(1, world.forge.get(1).head)
    assert look(world, 1, "production", bridge=bridge).alters == ("production", "platform")
    assert "The rendered manifests of platform" in world.forge.get(1).body
