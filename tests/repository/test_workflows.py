"""Workflows are valid, hold as few rights as they need, and are what the rules of `main` rely on."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from githubkit_schemas.v2022_11_28.models import ReposOwnerRepoRulesetsPostBody

from tests.repository.imports import ROOT
from tests.repository.workflows import ACTIONS, GITHUB, WORKFLOWS, Document, load, steps

ACTIONLINT = [str(ROOT / ".bin" / "actionlint"), "-no-color", "-shellcheck=", "-pyflakes="]
ZIZMOR = [str(Path(sys.executable).parent / "zizmor"), "--offline", "--no-progress", "--quiet"]
RULES = json.loads((GITHUB / "rulesets" / "main.json").read_text())


def judged(command: list[str], *files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False, cwd=ROOT)


def test_actionlint_and_zizmor_find_nothing() -> None:
    for done in (judged(ACTIONLINT, *WORKFLOWS), judged(ZIZMOR, GITHUB)):
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "command"),
    [
        ("terraform, images, build]", "terraform, images, gone]", ACTIONLINT),
        ("runs-on: ubuntu-24.04", "runs-on: ubuntu-1804", ACTIONLINT),
        ("needs.images.outputs.changed !=", "needs.images.outputs.change !=", ACTIONLINT),
        ("run: make check", "run: echo '${{ github.event.pull_request.title }}'", ACTIONLINT),
        ("run: make check", "run: echo '${{ github.event.pull_request.title }}'", ZIZMOR),
        ("        with:\n          persist-credentials: false\n", "", ZIZMOR),
        ("  pull_request:\n", "  pull_request_target:\n", ZIZMOR),
        ("@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", ZIZMOR),
    ],
)
def test_the_judges_see_a_fault(old: str, new: str, command: list[str], tmp_path: Path) -> None:
    text = (GITHUB / "workflows" / "check.yaml").read_text()
    assert old in text
    faulty = tmp_path / ".github" / "workflows" / "check.yaml"
    faulty.parent.mkdir(parents=True)
    faulty.write_text(text.replace(old, new))
    assert judged(command, faulty).returncode != 0


# --- rights -------------------------------------------------------------------------------------------------------


def faults(workflow: Document) -> Iterator[str]:
    """What this repository asks of a workflow beyond what the two judges look at."""
    if workflow["permissions"] != {}:
        yield "permissions at the top"
    if "concurrency" not in workflow:
        yield "no concurrency group"
    if {"pull_request_target", "workflow_run", "issue_comment"} & set(workflow["on"]):
        yield "a trigger that gives a stranger's change a token that writes"
    for name, job in workflow["jobs"].items():
        yield from (f"{name}: {fault}" for fault in (*missing(job), *too_much(job)))


def missing(job: Document) -> Iterator[str]:
    if "permissions" not in job:
        yield "no permissions of its own"
    if "timeout-minutes" not in job:
        yield "no time limit"
    checkouts = [step for step in job["steps"] if "actions/checkout@" in step.get("uses", "")]
    if any(step["with"].get("persist-credentials") is not False for step in checkouts):
        yield "a token left in the checkout"


def too_much(job: Document) -> Iterator[str]:
    scripts = "".join(str(step.get("run", "")) for step in job["steps"])
    uses = "".join(str(step.get("uses", "")) for step in job["steps"])
    granted = job.get("permissions", {})
    if "${{" in scripts:
        yield "an expression inside a script"
    if "secrets." in json.dumps(job) and "environment" not in job:
        yield "a secret without an environment"
    if "id-token" in granted and not re.search("aws-actions/configure|check-promotion", uses):
        yield "an identity that nothing uses"
    if "contents" in granted and granted["contents"] != "read":
        yield "writes code with the workflow's own token"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_the_rights_it_needs_and_no_more(path: Path) -> None:
    assert list(faults(load(path))) == []


Change = Callable[[Document], Any]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda w: w.update(permissions={"contents": "read"}), "permissions at the top"),
        (lambda w: w.pop("concurrency"), "no concurrency group"),
        (lambda w: w["on"].update(workflow_run=None), "a trigger that gives"),
        (lambda w: w["jobs"]["test"].pop("permissions"), "test: no permissions"),
        (lambda w: w["jobs"]["test"].pop("timeout-minutes"), "test: no time limit"),
        (
            lambda w: w["jobs"]["test"]["steps"][0]["with"].update({"persist-credentials": True}),
            "test: a token left",
        ),
        (lambda w: w["jobs"]["test"]["steps"][1].update(run="echo ${{ github.sha }}"), "test: an expression"),
        (lambda w: w["jobs"]["test"].update(env={"KEY": "${{ secrets.KEY }}"}), "test: a secret"),
        (lambda w: w["jobs"]["test"]["permissions"].update({"id-token": "write"}), "test: an identity"),
        (lambda w: w["jobs"]["test"]["permissions"].update(contents="write"), "test: writes code"),
    ],
)
def test_a_right_too_many_is_seen(change: Change, expected: str) -> None:
    workflow = load(GITHUB / "workflows" / "check.yaml")
    change(workflow)
    (found,) = faults(workflow)
    assert found.startswith(expected)


def test_an_action_is_pinned_by_commit_with_its_version_and_by_the_same_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for path in (*WORKFLOWS, *ACTIONS):
        for line in re.findall(r"uses: (.+)", path.read_text()):
            if line.startswith("./"):
                assert (ROOT / line.split()[0] / "action.yaml").is_file(), line
                continue
            match = re.fullmatch(r"(\S+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line)
            assert match, f"{path.name}: {line}"
            pins.setdefault(match[1], set()).add(f"{match[2]} {match[3]}")
    assert {name: pin for name, pin in pins.items() if len(pin) > 1} == {}


def test_only_reviewed_code_gets_the_promoters_key_or_a_role_that_writes() -> None:
    """Environments with a key or such a role deploy from `main` alone; their jobs run on nothing else."""
    for path in WORKFLOWS:
        workflow = load(path)
        for name, job in workflow["jobs"].items():
            if job.get("environment") in {"images", "promotion"}:
                assert not {"pull_request", "pull_request_review"} & set(workflow["on"]), (path.name, name)


def test_a_forks_pull_request_gets_no_role() -> None:
    jobs = load(GITHUB / "workflows" / "promotion-check.yaml")["jobs"]
    own = "github.event.pull_request.head.repo.full_name == github.repository"
    assert jobs["check"]["if"] == own
    assert jobs["fork"]["if"] == own.replace("==", "!=")
    assert jobs["fork"]["permissions"] == {"contents": "read", "pull-requests": "read"}
    assert jobs["production"]["needs"] == "check"
    assert "role" not in json.dumps(jobs["fork"])


def test_what_judges_a_promotion_is_the_code_of_main() -> None:
    for name, job in load(GITHUB / "workflows" / "promotion-check.yaml")["jobs"].items():
        for step in job["steps"]:
            if "actions/checkout@" in step.get("uses", ""):
                assert step["with"]["ref"] == "main", name


# --- the rules of main ---------------------------------------------------------------------------------------------


def rule(kind: str) -> dict[str, Any]:
    (found,) = (each.get("parameters", {}) for each in RULES["rules"] if each["type"] == kind)
    return dict(found)


def test_the_rules_are_what_github_takes() -> None:
    kinds = [type(each).__name__ for each in ReposOwnerRepoRulesetsPostBody.model_validate(RULES).rules or []]
    assert len(kinds) == len(RULES["rules"])
    wrong = json.loads(json.dumps(RULES))
    wrong["rules"][3]["parameters"]["required_approving_review_count"] = "none"
    with pytest.raises(ValueError, match="required_approving_review_count"):
        ReposOwnerRepoRulesetsPostBody.model_validate(wrong)


def test_nobody_passes_by_the_rules_and_owners_approve_the_present_head() -> None:
    assert (RULES["enforcement"], RULES["bypass_actors"]) == ("active", [])
    assert {"deletion", "non_fast_forward"} <= {each["type"] for each in RULES["rules"]}
    asked = rule("pull_request")
    assert asked["require_code_owner_review"]
    assert asked["dismiss_stale_reviews_on_push"]
    assert asked["allowed_merge_methods"] == ["squash"]


def test_a_required_check_is_a_job_that_every_pull_request_runs_whatever_happens_before() -> None:
    """GitHub takes a skipped job for a passed one, and waits for ever for one whose workflow did not start."""
    jobs = {name: (load(path)["on"], job) for path in WORKFLOWS for name, job in load(path)["jobs"].items()}
    required = rule("required_status_checks")["required_status_checks"]
    assert [each["context"] for each in required] == ["checks", "promotion"]
    for each in required:
        triggers, job = jobs[each["context"]]
        started = triggers["pull_request"] or {"types": ["opened", "synchronize", "reopened"]}
        assert set(started) == {"types"}, "a filter by path or branch would start it for some only"
        assert {"opened", "synchronize", "reopened"} <= set(started["types"])
        assert job["if"] == "always()"
        assert "name" not in job
        assert each["integration_id"] == 15368, "GitHub Actions; a status from anybody else does not count"


def test_the_names_of_required_checks_are_given_once() -> None:
    names = [name for path in WORKFLOWS for name in load(path)["jobs"]]
    assert [name for name in ("checks", "promotion") if names.count(name) != 1] == []


def test_production_waits_for_its_environment_and_nothing_is_merged_before() -> None:
    jobs = load(GITHUB / "workflows" / "promotion-check.yaml")["jobs"]
    assert jobs["production"]["environment"] == "production"
    assert jobs["production"]["steps"][-1]["with"]["options"] == "--approved"
    assert {"check", "fork", "production"} == set(jobs["promotion"]["needs"])
    assert "promotion" in jobs["merge"]["needs"]
    assert "needs.promotion.result == 'success'" in jobs["merge"]["if"]


# --- what the steps name -------------------------------------------------------------------------------------------


def test_make_targets_of_steps_exist() -> None:
    targets = {
        match for each in steps() for match in re.findall(r"^make ([a-z-]+)", each.script, re.MULTILINE)
    }
    assert targets
    for target in targets:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


UPDATES = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]


def test_dependabot_looks_where_something_is_pinned_and_waits_a_week() -> None:
    files = {
        "github-actions": [*ACTIONS],
        "pip": [*(ROOT / "requirements").glob("*.txt")],
        "gomod": [*(ROOT / "tools").rglob("go.mod")],
        "docker": [ROOT / "ml" / "Dockerfile", *(ROOT / "apps").glob("*/Dockerfile")],
        "terraform": [ROOT / "terraform" / "versions.tf"],
    }
    assert [each["package-ecosystem"] for each in UPDATES] == list(files)
    for each in UPDATES:
        assert each["cooldown"]["default-days"] >= 7
        for path in files[each["package-ecosystem"]]:
            folder = Path("/") / path.parent.relative_to(ROOT)
            assert any(folder.match(pattern) for pattern in each["directories"]), path


def test_somebody_looks_for_vulnerabilities_when_nothing_is_merged() -> None:
    workflow = load(GITHUB / "workflows" / "scan.yaml")
    assert workflow["on"]["schedule"]
    assert {step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step} == {
        "make audit",
        "make scan",
    }


def test_an_image_is_tagged_after_it_has_a_list_of_its_parts_a_signature_and_a_provenance() -> None:
    build = load(GITHUB / "workflows" / "images.yaml")["jobs"]["build"]
    order = [step.get("uses", step.get("name", "")).split("@")[0] for step in build["steps"]]
    wanted = [
        "docker/build-push-action",
        "anchore/sbom-action",
        "Sign, and attest the SBOM",
        "actions/attest",
    ]
    places = [order.index(each) for each in (*wanted, "Tag what is built, listed and signed")]
    assert places == sorted(places)
    assert build["permissions"]["attestations"] == "write"
