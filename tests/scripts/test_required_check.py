"""Every pull request is judged: a proposal as such, any other by what it does to the environments."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from scripts.check import required as required_check
from scripts.check.change import Change, change_of
from scripts.check.required import Question, check
from scripts.errors import Broken, Refused
from scripts.forges.forge import PullRequest
from scripts.forges.local import LocalForge
from scripts.history.git import Identity
from scripts.history.repository import TRUNK, RefUpdate, temporary_copy
from scripts.promotion.bridge import Bridge
from tests.scripts.test_check import back
from tests.scripts.world import World, no_kustomize

ROOT = Path(__file__).parents[2]
DEPLOYMENT = "environments/base/forecast/deployment.yaml"


@pytest.fixture(scope="module")
def real_once(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Copied by `real`."""
    world = World(tmp_path_factory.mktemp("real") / "world")
    sources = {
        str(path.relative_to(ROOT)): path.read_bytes()
        for path in (ROOT / "environments").rglob("*")
        if path.is_file() and "evidence" not in path.parts
    }
    world.commit_as_person("this checkout's environments", sources)
    return world


@pytest.fixture
def real(real_once: World, tmp_path: Path) -> World:
    """The environments of this checkout."""
    return real_once.copied(tmp_path / "world")


def propose(
    world: World,
    files: dict[str, bytes | None],
    *,
    message: str = "change",
    branch: str = "topic",
    body: str = "",
) -> PullRequest:
    """A pull request as a person opens one; None deletes a file."""
    with temporary_copy(world.forge) as copy:
        entries = {
            path: None if data is None else f"100644 {copy.write_blob(data)}" for path, data in files.items()
        }
        author = Identity("bo", "bo@shop.invalid")
        head = copy.commit_tree(copy.tree_with(TRUNK, entries), [TRUNK], message, author, world.tick())
        assert copy.push([RefUpdate(f"refs/heads/{branch}", None, head)])
    return world.forge.acting_as("bo").open_pull_request(branch, message, body)


def no_bridge() -> Bridge:
    raise AssertionError("a change is judged without registry and store")


def judged(world: World, pull_request: PullRequest) -> Change:
    found = check(world.forge, no_bridge, Question(pull_request.number, pull_request.head)).found
    assert isinstance(found, Change)
    return found


def base_change(world: World) -> dict[str, bytes | None]:
    before = world.git.read(TRUNK, DEPLOYMENT) or b""
    assert b"terminationGracePeriodSeconds: 30" in before
    return {DEPLOYMENT: before.replace(b"PeriodSeconds: 30", b"PeriodSeconds: 31")}


def test_a_change_of_the_base_names_every_environment_it_alters_and_whose_owner_is_asked(real: World) -> None:
    found = judged(real, propose(real, base_change(real)))
    assert {"production", "staging"} <= set(found.manifests)
    assert "production" in found.owners
    told = found.to_json()
    assert told["needs_owner_of"] == list(found.owners)
    assert told["alters"] == list(found.manifests)
    assert "The owner of production has to approve this." in told["comment"]
    assert "+      terminationGracePeriodSeconds: 31" in told["comment"]


def test_what_both_environments_share_is_rendered_too_and_owned(real: World) -> None:
    path = "environments/platform/certificate-issuer.yaml"
    before = real.git.read(TRUNK, path) or b""
    assert b"kind: ClusterIssuer" in before
    found = judged(real, propose(real, {path: before.replace(b"name: ", b"name: other-", 1)}))
    assert (list(found.manifests), found.owners) == (["platform"], ("platform",))


def test_a_change_that_reaches_no_environment_needs_nobody(real: World) -> None:
    found = judged(real, propose(real, {"docs/x.md": b"x", "environments/README.md": b"x"}))
    assert found == Change({}, (), (), ())
    assert found.comment == "No environment's rendered manifests change."


def test_what_the_trunk_did_meanwhile_is_not_the_pull_requests_doing(real: World) -> None:
    pull_request = propose(real, {"docs/x.md": b"x"})
    files = {path: data for path, data in base_change(real).items() if data is not None}
    real.commit_as_person("a change of somebody else", files)
    assert judged(real, pull_request).manifests == {}


@pytest.mark.parametrize(
    "path",
    [
        "environments/production/release.yaml",
        "environments/staging/evidence/1-abc.json",
        "environments/production/evidence",
        "environments/moon/release.yaml",
    ],
)
def test_only_promote_touches_a_release(real: World, path: str) -> None:
    pull_request = propose(real, {path: b"x\n", "docs/x.md": b"x"})
    with pytest.raises(Refused, match="comes from 'topic', not from promote"):
        judged_as_any(real, pull_request)
    with temporary_copy(real.forge) as copy, pytest.raises(Refused) as caught:
        change_of(copy, pull_request)
    assert caught.value.reason == "touches_release"


def judged_as_any(world: World, pull_request: PullRequest) -> object:
    return check(world.forge, lambda: world.bridge, Question(pull_request.number))


def test_a_deleted_release_is_touched_too(real: World) -> None:
    pull_request = propose(real, {"environments/production/release.yaml": None})
    with (
        temporary_copy(real.forge) as copy,
        pytest.raises(Refused, match="touches the release of production"),
    ):
        change_of(copy, pull_request)


def test_loosened_rules_and_lifted_holds_are_said_and_need_the_owner(
    real: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(required_check, "change_of", partial(change_of, render=lambda *_: ""))
    path = "environments/production/promotion.yaml"
    rules = (real.git.read(TRUNK, path) or b"").replace(b"soak_minutes: 60", b"soak_minutes: 1")
    message = "hurry\n\nUn-hold: staging/4-abc it was the store\nUn-hold: 7-def fixed"
    found = judged(real, propose(real, {path: rules}, message=message, body="Un-hold: 8-ghi as said"))
    assert found.rules == ("production",)
    assert found.un_holds == ("8-ghi", "staging/4-abc", "7-def")
    assert found.owners == ("production",)
    assert "This changes the rules of promotion of production." in found.comment
    assert "This lifts the hold of staging/4-abc." in found.comment
    only_staging = propose(
        real, {"docs/y.md": b"y"}, message="x\n\nUn-hold: staging/4-abc why", branch="other"
    )
    assert judged(real, only_staging).owners == ()


def test_manifests_that_no_longer_render_are_no_pass(real: World) -> None:
    pull_request = propose(
        real, {"environments/production/kustomization.yaml": b"resources: [missing.yaml]\n"}
    )
    with pytest.raises(Broken, match="production does not render"):
        judged(real, pull_request)


def test_without_kustomize_nothing_is_known(real: World) -> None:
    pull_request = propose(real, {"docs/x.md": b"x"})
    with temporary_copy(real.forge) as copy, pytest.raises(Broken):
        change_of(copy, pull_request, no_kustomize)


def test_a_huge_change_still_fits_into_a_comment() -> None:
    lines = "\n".join(f"+line {number}" for number in range(20_000))
    comment = Change({"production": lines, "staging": lines}, (), (), ("production",)).comment
    assert len(comment) < 60_000
    assert "`kustomize build environments/staging` shows all" in comment


def test_a_change_that_conflicts_with_the_trunk_says_so(real: World) -> None:
    pull_request = propose(real, base_change(real))
    other = (real.git.read(TRUNK, DEPLOYMENT) or b"").replace(b"PeriodSeconds: 30", b"PeriodSeconds: 60")
    real.commit_as_person("another", {DEPLOYMENT: other})
    with pytest.raises(Refused, match="the trunk changed the same lines"):
        judged(real, pull_request)


def test_a_proposal_is_found_by_what_it_is_without_naming_its_environment(two_live: World) -> None:
    number = back(two_live).number
    answer = check(two_live.forge, lambda: two_live.bridge, Question(number))
    assert answer.to_json()["kind"] == "rollback"
    assert answer.to_json()["environment"] == "local"


def test_what_is_not_open_or_not_there_is_not_checked(two_live: World) -> None:
    with pytest.raises(Refused, match="#1 is merged; only an open one"):
        check(two_live.forge, no_bridge, Question(1))
    with pytest.raises(Refused, match="no open pull request has the head"):
        check(two_live.forge, no_bridge, Question(head="0" * 40))
    with pytest.raises(Refused, match="name the pull request to check"):
        check(two_live.forge, no_bridge, Question())


def test_the_head_of_a_fork_is_brought_and_its_branch_name_buys_nothing(
    two_live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork's commits are on no branch here; a forge shows them under `refs/pull`."""
    fork = two_live.copied(two_live.folder / "fork")
    foreign = propose(fork, {"docs/x.md": b"x"}, branch="promote/local/9-x-000000000000")
    two_live.git.run("fetch", "--quiet", fork.forge.remote, f"{foreign.head}:refs/pull/7/head")
    shown = replace(foreign, number=7, branch=f"fork:{foreign.branch}")
    monkeypatch.setattr(LocalForge, "get", lambda *_: shown)
    monkeypatch.setattr(required_check, "change_of", partial(change_of, render=lambda *_: ""))
    assert judged(two_live, shown).manifests == {}
