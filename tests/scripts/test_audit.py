"""An audit accounts for a clean history and finds each single gap in it, at its commit."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from apps.console.sentences import writer
from scripts.audit.environment import audit
from scripts.audit.report import WAY_OUT, Finding, Kind, digest_of
from scripts.errors import Refused
from scripts.evidence.rules import rules_path_of
from scripts.forges.forge import PullRequest
from scripts.forges.local import LocalForge
from scripts.history.repository import TRUNK
from scripts.release_file import path_of
from tests.apps.console.said import english
from tests.scripts import promotions_at_scale
from tests.scripts.audit_faults import (
    ENVIRONMENT,
    FAULTS,
    RELEASE,
    RULES,
    Fault,
    Files,
    amended,
    approve,
    by_pull_request,
    directly_pushed,
    edited_evidence_later,
    evidence_of,
    forge_branch,
    merge_of,
    merge_unchecked,
    on_trunk,
    promote,
    proposed,
    rewrite_record,
    roll_back,
    trailers_out_of_sight,
    unreadable_release,
)
from tests.scripts.promotions_at_scale import Change, Promotion, release_path
from tests.scripts.world import ANYTHING_GOES, APPROVED, World


def found(world: World, environment: str = ENVIRONMENT) -> list[Finding]:
    return list(audit(world.forge, environment).findings)


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Production with models 1 and 2 promoted and approved; copied by `clean`."""
    world = World(tmp_path_factory.mktemp("audited"), (ENVIRONMENT, "local"))
    for version in (1, 2):
        promote(world, version)
    assert found(world) == []  # the control of every fault
    return world


@pytest.fixture
def clean(audited: World, tmp_path: Path) -> World:
    return audited.copied(tmp_path / "world")


def test_every_deployment_maps_to_its_pull_request_author_approver_and_evidence(clean: World) -> None:
    report = audit(clean.forge, ENVIRONMENT)
    assert report.ok
    assert (report.findings, report.notes) == ((), ())
    assert report.checked_until == clean.git.ref(TRUNK)
    first, *others = report.deployments
    assert (first.kind, first.pull_request, first.release["model_version"]) == ("import", None, 0)
    for version, each in enumerate(others, start=1):
        evidence = clean.git.read(each.commit, evidence_of(clean, version)) or b""
        assert (each.kind, each.pull_request, each.release["model_version"]) == (
            "promotion",
            version,
            version,
        )
        assert (each.author, each.approved_by, each.requested_by) == ("promoter", ("bo",), "ada")
        assert each.evidence_sha256 == hashlib.sha256(evidence).hexdigest()
        assert each.head_compared


def test_rollbacks_reverts_and_reverts_of_reverts_are_accounted_for(clean: World) -> None:
    roll_back(clean)
    third = promote(clean, 3)
    one = clean.git.read(third + "~1", RELEASE) or b""
    three, evidence = on_trunk(clean, RELEASE), on_trunk(clean, evidence_of(clean, 3))
    undo = by_pull_request(
        clean,
        f'Revert "3"\n\nThis reverts commit {third}.\n',
        {RELEASE: one, evidence_of(clean, 3): None},
        "undo-3",
    )
    by_pull_request(
        clean,
        f'Reapply "3"\n\nThis reverts commit {undo}.\n',
        {RELEASE: three, evidence_of(clean, 3): evidence},
        "redo-3",
    )
    report = audit(clean.forge, ENVIRONMENT)
    assert report.findings == ()
    kinds = ["import", "promotion", "promotion", "rollback", "promotion", "rollback", "reapplied"]
    assert [each.kind for each in report.deployments] == kinds


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
def test_one_fault_in_a_clean_history_is_one_finding(clean: World, fault: Fault, kind: Kind) -> None:
    commit = fault(clean)
    findings = found(clean)
    assert [(each.kind, each.commit) for each in findings] == [(kind, commit)]
    assert findings[0].message.endswith(WAY_OUT[kind])
    assert not english(writer("tr")(findings[0].message)), findings[0].message


def test_every_kind_has_a_way_out() -> None:
    assert set(WAY_OUT) == set(Kind)


def test_what_needs_no_approval_may_be_reverted_by_a_push_and_not_changed_otherwise(clean: World) -> None:
    for version in (1, 2):
        pull_request = proposed(clean, version, "local")
        second = clean.merge(pull_request.number, "local").commit
    clean.revert_as_person(second)
    assert found(clean, "local") == []
    assert audit(clean.forge, "local").deployments[-1].kind == "rollback"
    release = on_trunk(clean, path_of("local")).replace(b"abc1234", b"zzz")
    pushed = clean.commit_as_person("quick", {path_of("local"): release})
    assert [(each.kind, each.commit) for each in found(clean, "local")] == [(Kind.DIRECT_PUSH, pushed)]
    assert found(clean) == []


def test_rules_count_as_they_were_before_the_commit(clean: World) -> None:
    """A promotion that brings looser rules with it is judged by the stricter ones."""

    def change(files: Files, message: str) -> str:
        files[RULES] = ANYTHING_GOES
        return message

    commit = forge_branch(clean, 3, change)
    rewrite_record(clean, 3, approvals={})
    kinds = {each.kind for each in found(clean) if each.commit == commit}
    assert kinds == {Kind.NO_APPROVAL, Kind.MORE_FILES, Kind.RULES_CHANGED, Kind.TRAILERS}


def test_rules_that_an_approver_loosened_hold_from_then_on(clean: World) -> None:
    by_pull_request(clean, "rules: nobody needs to approve", {RULES: ANYTHING_GOES}, "looser")
    clean.merge(proposed(clean, 3).number, ENVIRONMENT)
    report = audit(clean.forge, ENVIRONMENT)
    assert report.ok
    assert [(note.what, note.approved_by) for note in report.notes] == [("rules", ("bo",))]


def test_without_rules_a_promotion_is_a_gap_even_when_approved(clean: World) -> None:
    pull_request = proposed(clean, 3)
    approve(clean, pull_request)
    by_pull_request(clean, "rules: away with them", {RULES: None}, "no-rules")
    commit = merge_unchecked(clean, pull_request.number)
    assert [(each.kind, each.commit) for each in found(clean)] == [(Kind.NO_RULES, commit)]


def test_evidence_that_is_put_back_is_no_second_finding(clean: World) -> None:
    path = evidence_of(clean, 1)
    good = on_trunk(clean, path)
    edited = edited_evidence_later(clean)
    clean.commit_as_person("put it back", {path: good})
    assert [(each.kind, each.commit) for each in found(clean)] == [(Kind.EVIDENCE_CHANGED, edited)]


def test_a_broken_file_that_was_mended_is_one_finding(clean: World) -> None:
    good = on_trunk(clean, RELEASE)
    broken = unreadable_release(clean)
    clean.commit_as_person("mend", {RELEASE: good})
    report = audit(clean.forge, ENVIRONMENT)
    assert [(each.kind, each.commit) for each in report.findings] == [(Kind.UNREADABLE, broken)]
    assert len(report.deployments) == 3


def test_what_else_may_alter_production_is_noted_with_who_approved_it(clean: World) -> None:
    base = by_pull_request(clean, "base: probes", {"environments/base/x.yaml": b"x\n"}, "probes")
    pushed = clean.commit_as_person("patch", {f"environments/{ENVIRONMENT}/patch.yaml": b"x\n"})
    comment = clean.commit_as_person("say why", {RELEASE: on_trunk(clean, RELEASE) + b"# why\n"})
    clean.commit_as_person("docs", {"docs/x.md": b"x\n", "environments/local/x.yaml": b"x\n"})
    lifted = clean.commit_as_person("again\n\nUn-hold: 2-abc1234 the store was full")
    report = audit(clean.forge, ENVIRONMENT)
    assert report.ok
    assert [(note.commit, note.what, note.approved_by) for note in report.notes] == [
        (base, "manifests", ("bo",)),
        (pushed, "manifests", ()),
        (comment, "release file without its values", ()),
        (lifted, "un-hold", ()),
    ]
    assert report.notes[0].details == ("environments/base/x.yaml",)
    assert report.notes[3].details == ("2-abc1234", "the store was full")


def test_a_release_that_comes_again_after_its_hold_was_lifted_is_accounted_for(clean: World) -> None:
    roll_back(clean)
    clean.commit_as_person("again\n\nUn-hold: 2-abc1234 the store was full")
    pull_request = proposed(clean, 2)
    approve(clean, pull_request)
    again = merge_unchecked(clean, pull_request.number)
    assert set(clean.git.changed_paths(f"{again}~1", again)) == {RELEASE}  # the evidence stands there already
    report = audit(clean.forge, ENVIRONMENT)
    assert report.findings == ()
    assert (report.deployments[-1].commit, report.deployments[-1].kind) == (again, "promotion")


def test_a_text_whose_lines_the_forge_ends_otherwise_is_the_same_text(clean: World) -> None:
    number = clean.forge.pull_requests("promote/")[0].number
    clean.edit_body(number, clean.forge.get(number).body.replace("\n", "\r\n"))
    assert found(clean) == []


def test_trailers_that_are_not_the_last_paragraph_are_none(clean: World) -> None:
    commit = trailers_out_of_sight(clean)
    findings = found(clean)
    assert {each.commit for each in findings} == {commit}
    assert {each.kind for each in findings} == {Kind.TRAILERS, Kind.EVIDENCE_DIGEST}


def test_a_head_that_the_forge_no_longer_keeps_is_told_and_not_compared(clean: World) -> None:
    clean.git.run("update-ref", "-d", "refs/pull/1/head")
    report = audit(clean.forge, ENVIRONMENT)
    assert report.findings == ()
    assert [each.head_compared for each in report.deployments] == [False, False, True]


def test_an_environment_that_comes_later_starts_with_nothing_released_or_by_a_promotion(clean: World) -> None:
    unreleased = clean.git.read(f"{merge_of(clean, 1)}~1", RELEASE) or b""
    clean.commit_as_person("moon", {path_of("moon"): unreleased, rules_path_of("moon"): APPROVED})
    report = audit(clean.forge, "moon")
    assert (report.ok, [each.kind for each in report.deployments]) == (True, ["import"])
    live = on_trunk(clean, RELEASE)
    mars = clean.commit_as_person("mars", {path_of("mars"): live, rules_path_of("mars"): APPROVED})
    assert [(each.kind, each.commit) for each in found(clean, "mars")] == [(Kind.DIRECT_PUSH, mars)]


def test_the_first_commit_may_bring_what_runs_already(clean: World, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for path in (RELEASE, RULES, evidence_of(clean, 2)):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(on_trunk(clean, path))
    forge = LocalForge.create(tmp_path / "forge.git", tree, "promoter", clock=clean.tick)
    report = audit(forge, ENVIRONMENT)
    assert (report.ok, [each.kind for each in report.deployments]) == (True, ["import"])


def test_an_environment_that_never_was_is_refused(clean: World) -> None:
    with pytest.raises(Refused, match="was never on the trunk"):
        audit(clean.forge, "venus")


class ForgeThatRemembers(LocalForge):
    """Says `merged` also after the trunk was rewritten, as forges of the network do; a local one cannot know."""

    def pull_requests(self, *branch_prefixes: str, people_of_ended: bool = True) -> list[PullRequest]:
        return [
            replace(each, state="merged", merge_commit=self._stored(each.number)[1].merge_commit)
            for each in super().pull_requests(*branch_prefixes, people_of_ended=people_of_ended)
        ]


def cut_off(world: World) -> str:
    """Take the last promotion off the trunk; its id comes back."""
    tip = world.git.commit(TRUNK).id
    world.git.run("update-ref", TRUNK, f"{tip}~1", tip)
    return tip


def test_a_merge_that_the_trunk_no_longer_holds_is_found(clean: World) -> None:
    forge = ForgeThatRemembers(clean.forge.directory, "promoter")
    assert audit(forge, ENVIRONMENT).ok
    tip = cut_off(clean)
    (finding,) = audit(forge, ENVIRONMENT).findings
    assert (finding.kind, finding.commit, finding.pull_request) == (Kind.REWRITTEN, None, 2)
    assert tip in finding.message


def test_an_amended_merge_is_one_finding_for_a_forge_that_remembers(clean: World) -> None:
    commit = amended(clean)
    forge = ForgeThatRemembers(clean.forge.directory, "promoter")
    (finding,) = audit(forge, ENVIRONMENT).findings
    assert (finding.kind, finding.commit, finding.pull_request) == (Kind.REWRITTEN, commit, 2)


class ForgeInMotion(LocalForge):
    """Somebody merges while the audit is asking."""

    merge_now: Callable[[], object] | None = None

    def pull_requests(self, *branch_prefixes: str, people_of_ended: bool = True) -> list[PullRequest]:
        if self.merge_now:
            merge_now, self.merge_now = self.merge_now, None
            merge_now()
        return super().pull_requests(*branch_prefixes, people_of_ended=people_of_ended)


def test_a_merge_during_the_audit_is_no_finding(clean: World) -> None:
    pull_request = proposed(clean, 3)
    approve(clean, pull_request)
    forge = ForgeInMotion(clean.forge.directory, "promoter")
    forge.merge_now = lambda: clean.merge(pull_request.number, ENVIRONMENT)
    report = audit(forge, ENVIRONMENT)
    assert (report.findings, len(report.deployments)) == ((), 3)
    assert len(audit(forge, ENVIRONMENT).deployments) == 4


def test_findings_up_to_a_commit_are_accepted_and_stay_in_sight(clean: World) -> None:
    pushed = directly_pushed(clean)
    report = audit(clean.forge, ENVIRONMENT, after=pushed)
    assert (report.ok, report.findings) == (True, ())
    assert [(each.kind, each.commit) for each in report.accepted] == [(Kind.DIRECT_PUSH, pushed)]
    later = edited_evidence_later(clean)
    again = audit(clean.forge, ENVIRONMENT, after=pushed)
    assert [(each.kind, each.commit) for each in again.findings] == [(Kind.EVIDENCE_CHANGED, later)]


def test_a_trunk_without_the_commit_that_was_checked_was_rewritten(clean: World) -> None:
    checked = audit(clean.forge, ENVIRONMENT).checked_until
    assert audit(clean.forge, ENVIRONMENT, after=checked).ok
    cut_off(clean)
    (finding,) = audit(clean.forge, ENVIRONMENT, after=checked).findings
    assert finding.kind is Kind.REWRITTEN
    assert checked in finding.message


def test_a_report_is_the_same_each_time_and_proves_itself(clean: World) -> None:
    directly_pushed(clean)
    one, other = (audit(clean.forge, ENVIRONMENT).to_json() for _ in range(2))
    assert json.dumps(one) == json.dumps(other)
    assert one["sha256"] == digest_of(one)
    assert one["ok"] is False
    one["findings"] = []
    assert one["sha256"] != digest_of(one)


def test_an_audit_writes_nothing_on_the_forge(clean: World) -> None:
    refs = clean.refs()
    audit(clean.forge, ENVIRONMENT)
    assert clean.refs() == refs


def nobody(made: Promotion) -> None:
    made.approvals = []


def its_author(made: Promotion) -> None:
    made.approvals = [made.author]


def who_asked(made: Promotion) -> None:
    made.approvals = ["ada"]


def pushed(made: Promotion) -> None:
    made.branch = None


def of_another_branch(made: Promotion) -> None:
    made.branch = f"feature/{made.release['image_tag']}"


def another_text(made: Promotion) -> None:
    made.body = made.body.replace('"ratio": 0.9', '"ratio": 0.5')


def another_digest(made: Promotion) -> None:
    made.files[made.evidence_path] = (made.files[made.evidence_path] or "").replace("0.85", "0.35")


def nothing_to_show(made: Promotion) -> None:
    del made.files[made.evidence_path]


def another_step(made: Promotion) -> None:
    made.evidence["replaces"] = promotions_at_scale.UNRELEASED
    made.write()


def shut(made: Promotion) -> None:
    made.evidence["gates"][0]["passed"] = False
    made.write()


def another_file(made: Promotion) -> None:
    made.files["argo/root.yaml"] = f"{made.evidence_path}\n"


def another_version(made: Promotion) -> None:
    made.message = made.message.replace("Model-Version: ", "Model-Version: 1")


def another_head(made: Promotion) -> None:
    made.head_files = made.files | {release_path(ENVIRONMENT): made.files[release_path(ENVIRONMENT)]}
    made.head_files[made.evidence_path] = "{}\n"


def another_merge(made: Promotion) -> None:
    made.remembered_as = "f" * 40


def edited_later(made: Promotion) -> None:
    edited = (made.files[made.evidence_path] or "").replace("0.85", "0.35")
    made.then = [Change("docs: a typo\n", {made.evidence_path: edited})]


def broken_later(made: Promotion) -> None:
    good = made.files[release_path(ENVIRONMENT)] or ""
    bad, mended = ({release_path(ENVIRONMENT): text} for text in (good.replace('"', "'"), good))
    made.then = [Change("quotes\n", dict(bad)), Change("mend\n", dict(mended))]


AT_SCALE = {
    nobody: Kind.NO_APPROVAL,
    its_author: Kind.AUTHOR_APPROVED,
    who_asked: Kind.REQUESTER_APPROVED,
    pushed: Kind.DIRECT_PUSH,
    of_another_branch: Kind.OTHER_BRANCH,
    another_text: Kind.FORGED_BLOCK,
    another_digest: Kind.EVIDENCE_DIGEST,
    nothing_to_show: Kind.NO_EVIDENCE,
    another_step: Kind.EVIDENCE_FACTS,
    shut: Kind.GATE_CLOSED,
    another_file: Kind.MORE_FILES,
    another_version: Kind.TRAILERS,
    another_head: Kind.OTHER_HEAD,
    another_merge: Kind.REWRITTEN,
    edited_later: Kind.EVIDENCE_CHANGED,
    broken_later: Kind.UNREADABLE,
}


@pytest.mark.soak
def test_a_thousand_promotions_have_no_finding(tmp_path: Path) -> None:
    written = promotions_at_scale.write(tmp_path / "forge.git", 1000)
    report = audit(LocalForge(tmp_path / "forge.git", "auditor"), ENVIRONMENT)
    assert report.findings == ()
    deployed = [each for each in written if release_path(ENVIRONMENT) in each.files]
    assert [(each.commit, each.pull_request) for each in report.deployments] == [
        (each.id, each.number) for each in deployed
    ]
    assert sum(each.kind == "promotion" for each in report.deployments) == 1000
    assert {each.kind for each in report.deployments} == {"import", "promotion", "rollback", "reapplied"}


@pytest.mark.soak
def test_each_fault_among_a_thousand_promotions_is_found_and_nothing_else(tmp_path: Path) -> None:
    places = dict(zip(range(30, 1000, 60), AT_SCALE, strict=False))
    written = promotions_at_scale.write(tmp_path / "forge.git", 1000, places)
    made = [each for each in written if isinstance(each, Promotion) and each.environment == ENVIRONMENT]
    expected = []
    for index, fault in places.items():
        at_fault: Change = made[index].then[0] if made[index].then else made[index]
        expected.append((at_fault.id, AT_SCALE[fault]))
    report = audit(LocalForge(tmp_path / "forge.git", "auditor"), ENVIRONMENT)
    assert len(expected) == len(AT_SCALE)
    assert [(each.commit, each.kind) for each in report.findings] == expected
