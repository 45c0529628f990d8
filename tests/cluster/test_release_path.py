"""One story: two releases go through staging into production, and come back. Each test is its next step."""

import os
import subprocess
from dataclasses import dataclass, field

import pytest

from scripts.release_file import Release
from tests.cluster.bed import PRODUCTION, STAGING
from tests.cluster.progress import tell
from tests.cluster.promote import ASKER, Promote
from tests.cluster.releases import live_after, merge_and_wait
from tests.cluster.repository import APPROVER, NAME, OWNER, PROMOTER
from tests.cluster.world import World

pytestmark = pytest.mark.cluster

SOAK_MINUTES = 61
NAMESPACES = {"staging": STAGING, "production": PRODUCTION}

# A shop of sixty products is too small for the paired test to be sure; a person says that it may pass.
WAIVED = ["--waive", "better_than_champion", "--reason", "sixty products cannot tell", "--by", APPROVER]


@dataclass
class Story:
    """What happened so far: the releases in the order of their coming, and each environment's last commit."""

    world: World
    promote: Promote
    releases: list[Release]
    commits: dict[str, str] = field(default_factory=dict)

    def proposed(self, environment: str, *wish: str) -> str:
        """The number of the pull request that promote opens."""
        opened = self.promote("open", "--to", environment, *wish)
        assert opened["action"] == "opened", opened
        return str(opened["pull_request"])

    def merged(self, environment: str, number: str, wanted: Release) -> None:
        """Approved by the approver, merged by promote, live, and confirmed by every pod.

        Argo CD comes to an environment with its first release: before that it would ask for images called
        `unreleased`, which the policies refuse, and try again less and less often.
        """
        self.world.repository.approve(APPROVER, int(number))
        answer = self.promote("merge", "--environment", environment, number)
        self.commits[environment] = answer["commit"]
        self.world.install(environment)
        seconds = live_after(self.world, environment, wanted)
        tell(f"{environment} serves {wanted.name} {seconds:.1f} s after its merge")
        confirmed = self.promote("confirm", "--environment", environment, "--quiet", "2")
        assert confirmed["digests_compared"], confirmed
        self.promote.watch(NAMESPACES[environment], wanted)


@pytest.fixture(scope="module")
def story(world: World) -> Story:
    world.tell_argo_cd()
    promote = Promote(world.bed, world.repository, world.models)
    return Story(world, promote, [world.release(world.tags[0], world.first)])


def test_nobody_pushes_to_main(story: Story) -> None:
    repository = story.world.repository
    for account in (PROMOTER, APPROVER, OWNER):
        repository.git(account, "commit", "--allow-empty", "-q", "-m", "by hand")
        pushed = repository.try_git(account, "push", "-q", repository.url, "HEAD:main")
        assert pushed.returncode != 0
        assert "protected branch" in pushed.stderr


def test_a_first_model_and_image_reach_staging_by_pull_request(story: Story) -> None:
    wish = ["--model", "challenger", "--image-tag", story.world.tags[0], *WAIVED]
    number = story.proposed("staging", *wish)
    again = story.promote("open", "--to", "staging", *wish)
    assert (again["action"], str(again["pull_request"])) == ("found", number)
    assert story.promote.refused("merge", "--environment", "staging", number) == "merge_refused"
    story.merged("staging", number, story.releases[0])


def test_production_waits_for_the_soak(story: Story) -> None:
    assert story.promote.refused("open", "--to", "production") == "soak_short"
    story.promote.clock.skip(SOAK_MINUTES)


def test_production_waits_for_another_persons_approval(story: Story) -> None:
    number = story.proposed("production", *WAIVED)
    assert "awaits" in str(story.promote("check", number))
    assert story.promote.refused("check", number, "--approved") == "check_failed"
    assert story.promote.refused("merge", "--environment", "production", number) == "check_failed"
    pull = f"/repos/{OWNER}/{NAME}/pulls/{number}"
    for account in (PROMOTER, OWNER):
        story.world.repository.ask(account, "POST", f"{pull}/reviews", {"event": "APPROVED"})
        assert not story.world.repository.ask(account, "POST", f"{pull}/merge", {"Do": "squash"}).is_success
    story.merged("production", number, story.releases[0])
    assert story.promote("aliases")["state"] == "agrees"


def test_a_hand_in_production_is_refused(story: Story) -> None:
    """By an administrator, whom nothing but admission could stop."""
    edit = ["kubectl", "-n", PRODUCTION, "edit", "deployment", "forecast"]
    editor = {"KUBE_EDITOR": "sed -i s/revisionHistoryLimit:.*/revisionHistoryLimit:\\ 1/"}
    done = subprocess.run(
        edit, env=os.environ | editor, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "may not update deployments in production; open a pull request" in done.stderr


def test_a_newer_model_and_image_follow_the_same_way(story: Story) -> None:
    world = story.world
    newer = world.release(world.tags[1], world.models.retrained(world.first, 1)[0])
    story.releases.append(newer)
    wish = ["--model", "challenger", "--image-tag", world.tags[1], *WAIVED]
    story.merged("staging", story.proposed("staging", *wish), newer)
    story.promote.clock.skip(SOAK_MINUTES)
    story.merged("production", story.proposed("production", *WAIVED), newer)


def test_a_rollback_brings_back_the_release_before_and_holds_the_other(story: Story) -> None:
    older = story.releases[0]
    back = story.promote("rollback", "--environment", "production", "--reason", "forecasts too high")
    assert back["release"] == older.model_dump()
    story.merged("production", str(back["pull_request"]), older)
    assert story.promote("aliases")["state"] == "agrees"
    assert story.promote.refused("open", "--to", "production", *WAIVED) == "held"


def test_a_plain_git_revert_does_the_same(story: Story) -> None:
    older = story.releases[0]
    number = story.world.repository.propose_revert(OWNER, story.commits["staging"])
    served = merge_and_wait(story.world, "staging", number, older)
    tell(f"staging serves {older.name} again {served.seconds} s after a plain revert was merged")
    wish = ["--model", "challenger", "--image-tag", story.world.tags[1], *WAIVED]
    assert story.promote.refused("open", "--to", "staging", *wish) == "held"


def test_every_change_can_be_accounted_for(story: Story) -> None:
    for environment in NAMESPACES:
        report = story.promote("audit", "--environment", environment)
        assert report["findings"] == [], report
        changes = [change for change in report["deployments"] if change["kind"] != "import"]
        assert len(changes) == 3
        assert {tuple(change["approved_by"]) for change in changes} == {(APPROVER,)}
        assert ASKER in {change["requested_by"] for change in changes}
    assert story.promote("metrics")
