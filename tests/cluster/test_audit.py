"""An audit of a history on a real Gitea: what its interface and Git tell is enough to account for it."""

from collections.abc import Iterator

import pytest

from scripts.audit.environment import audit
from scripts.audit.report import Kind
from scripts.history.repository import TRUNK
from scripts.promotion.rollback import open_rollback
from scripts.release_file import path_of
from tests.cluster.gitea import APPROVER, OWNER, PROMOTER, GiteaWorld, gitea_world

pytestmark = pytest.mark.cluster

ENVIRONMENT = "production"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GiteaWorld]:
    """Production with models 1 and 2 promoted, model 2 rolled back; then the owner takes the protection off."""
    with gitea_world(tmp_path_factory.mktemp("audited") / "world", (ENVIRONMENT,)) as made:
        for version in (1, 2):
            made.promote(version, environment=ENVIRONMENT)
        opened = open_rollback(made.bridge, ENVIRONMENT, "ada", "too many returns").pull_request
        assert opened
        made.merge(opened.number, ENVIRONMENT)
        made.on.ask("DELETE", f"/repos/{made.on.name}/branch_protections/main")
        yield made


def kinds(world: GiteaWorld, after: str | None = None) -> list[tuple[Kind, int | None]]:
    findings = audit(world.forge, ENVIRONMENT, after=after).findings
    return [(each.kind, each.pull_request) for each in findings]


def test_every_deployment_is_accounted_for(world: GiteaWorld) -> None:
    report = audit(world.forge, ENVIRONMENT)
    assert report.findings == ()
    first, *others = report.deployments
    assert first.kind == "import"
    assert [(each.kind, each.pull_request) for each in others] == [
        ("promotion", 1),
        ("promotion", 2),
        ("rollback", 3),
    ]
    for each in others:
        assert (each.author, each.approved_by, each.requested_by) == (PROMOTER, (APPROVER,), "ada")
        assert each.head_compared


def test_a_text_edited_on_the_page_is_found_and_its_mending_too(world: GiteaWorld) -> None:
    body = world.forge.get(1).body
    world.edit_body(1, body.replace('"ratio": 0.9', '"ratio": 0.7').replace("\n", "\r\n"))
    assert kinds(world) == [(Kind.FORGED_BLOCK, 1)]
    world.edit_body(1, body.replace("\n", "\r\n"))
    assert kinds(world) == []


def test_what_the_owner_pushed_past_the_protection_is_found(world: GiteaWorld) -> None:
    tip = world.git.commit(TRUNK).id
    release = world.file(ENVIRONMENT).replace(b"abc1234", b"zzz")
    world.commit_as_person("quick fix", {path_of(ENVIRONMENT): release})
    assert kinds(world) == [(Kind.DIRECT_PUSH, None)]
    rewind(world, tip)
    assert kinds(world) == []


def test_a_trunk_that_lost_a_merge_is_found(world: GiteaWorld) -> None:
    tip = world.git.commit(TRUNK).id
    rewind(world, f"{tip}~1")
    assert kinds(world) == [(Kind.REWRITTEN, 3)]
    assert kinds(world, after=tip) == [(Kind.REWRITTEN, 3), (Kind.REWRITTEN, None)]
    rewind(world, tip)
    assert kinds(world) == []


def rewind(world: GiteaWorld, commit: str) -> None:
    """Force main to a commit."""
    sha = world.git.commit(commit).id
    world.git.run(
        "push", "--quiet", "--force", world.on.remote, f"{sha}:{TRUNK}", env=world.on.git_environment(OWNER)
    )
