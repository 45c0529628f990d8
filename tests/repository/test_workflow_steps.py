"""The scripts of the workflows' steps, run here as they stand there.

What needs a service that is not here (the build itself, the signature, AWS) is a program that writes down what it
was told; everything of ours is the real thing.
"""

import hashlib
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.forges.local import LocalForge
from scripts.history.git import Git, Identity
from scripts.promote_parser import parser
from tests.repository.imports import ROOT
from tests.repository.workflows import Step, load, step, steps
from tests.scripts.image_shelf import Shelf

PASSWORD = "the-password-of-an-hour"
TOLD = """#!/bin/bash
printf '%s\\0' "$@" >> "$(dirname "$0")/$(basename "$0").told"
cat "$(dirname "$0")/$(basename "$0").says" 2>/dev/null
exit "$(cat "$(dirname "$0")/$(basename "$0").code" 2>/dev/null || echo 0)"
"""

# Every shell step there is, by a text in it; a new one needs a test here.
TRIED = {
    ("check", "images", "scripts.changed_images"),
    ("check", "build", "docker build"),
    ("check", "checks", "RESULTS"),
    ("images", "plan", "image_tags plan"),
    ("images", "build", "cosign sign"),
    ("images", "build", "image_tags built"),
    ("images", "tag", "image_tags tag"),
    ("check-promotion", None, "scripts.promote check"),
    ("promotion-check", "promotion", "CHECKED"),
    ("promotion-check", "merge", "gh workflow run"),
    ("promotion", "promote", "scripts.promote"),
}


def test_every_step_is_tried_here_or_a_make_target() -> None:
    scripts = [(each.file, each.job, each.script) for each in steps() if each.script]
    own = [(file, job, script) for file, job, script in scripts if not script.startswith("make ")]
    assert len(own) == len(TRIED)
    for file, job, text in TRIED:
        assert step(file, job, text)


class Programs:
    """A folder on the PATH; each program writes down its arguments, says what it is to say, and ends with a code."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def add(self, name: str, says: str = "", code: int = 0) -> None:
        program = self.folder / name
        program.write_text(TOLD)
        program.chmod(0o755)
        (self.folder / f"{name}.says").write_text(says)
        (self.folder / f"{name}.code").write_text(str(code))

    def told(self, name: str) -> list[str]:
        """All arguments since it was last asked."""
        file = self.folder / f"{name}.told"
        arguments = file.read_text().split("\0")[:-1]
        file.unlink()
        return arguments


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    made = Programs(tmp_path / "programs")
    made.add("aws", says=PASSWORD)
    return made


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=anna", "-c", "user.email=anna@example.com", "-c", "commit.gpgSign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def committed(folder: Path, message: str) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone as a runner has it, with the virtual environment and the tools that `make` brings."""
    folder = tmp_path / "checkout"
    for name in ("apps", "ml", "scripts", "requirements", "environments", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".dockerignore", folder)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for name in (".venv", ".bin"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".git" / "info" / "exclude").write_text(".venv\n.bin\n__pycache__\n")
    committed(folder, "all")
    return folder


def outputs(folder: Path) -> dict[str, str]:
    """What a step set, once."""
    file = folder.parent / "output"
    found = dict(line.split("=", 1) for line in file.read_text().splitlines())
    file.unlink()
    return found


# --- check --------------------------------------------------------------------------------------------------------


def test_the_changed_images_are_a_build_matrix(checkout: Path, programs: Programs) -> None:
    page = checkout / "apps/console/templates/base.html"
    page.write_text(f"{page.read_text()}<!-- changed -->\n")
    committed(checkout, "console: a comment")
    done = step("check", "images", "changed_images").run(checkout, {})
    assert done.returncode == 0, done.stderr
    (image,) = json.loads(outputs(checkout)["images"])
    assert image == {"image": "console", "dockerfile": "apps/console/Dockerfile"}
    programs.add("docker")
    building = step("check", "build", "docker")
    assert building.run(checkout, {"DOCKERFILE": image["dockerfile"]}, programs.folder).returncode == 0
    assert programs.told("docker") == ["build", "--file", "apps/console/Dockerfile", "."]
    matrix = load(ROOT / ".github/workflows/check.yaml")["jobs"]["build"]["strategy"]["matrix"]
    assert matrix == {"include": "${{ fromJSON(needs.images.outputs.changed) }}"}


RESULTS = ("success", "skipped", "failure", "cancelled")


def test_a_change_passes_when_the_tests_ran_and_nothing_failed(tmp_path: Path) -> None:
    gate = step("check", "checks", "RESULTS")
    for place, other, build in itertools.product(range(3), RESULTS, RESULTS):
        required = ["success"] * 3
        required[place] = other
        every = " ".join([*required, build])
        done = gate.run(tmp_path, {"REQUIRED": " ".join(required), "RESULTS": every})
        expected = other == "success" and build in {"success", "skipped"}
        assert (done.returncode == 0) == expected, every


# --- images -------------------------------------------------------------------------------------------------------


class Registry:
    """The images' workflow against a registry, without the build."""

    def __init__(self, checkout: Path, programs: Programs, shelf: Shelf) -> None:
        self.checkout, self.programs, self.shelf = checkout, programs, shelf

    def run(self, job: str, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
        given = {"PROMOTE_REGISTRY_USER": "AWS", **variables}
        done = step("images", job, text).run(self.checkout, given, self.programs.folder)
        assert PASSWORD not in done.stdout + done.stderr
        return done

    def plan(self) -> list[dict[str, str]]:
        done = self.run("plan", "image_tags plan")
        assert done.returncode == 0, done.stderr + done.stdout
        build: list[dict[str, str]] = json.loads(outputs(self.checkout)["build"])
        return build

    def push(self, entry: Mapping[str, str], manifest: bytes) -> None:
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        self.shelf.put(entry["repository"], digest, manifest)
        done = self.run("build", "image_tags built", IMAGE=entry["image"], DIGEST=digest)
        assert done.returncode == 0, done.stderr + done.stdout

    def tagged(self, tag: str) -> dict[str, bytes]:
        tags = self.shelf.tags.items()
        return {image.rpartition("/")[2]: manifest for (image, name), manifest in tags if name == tag}


@pytest.fixture
def registry(checkout: Path, programs: Programs) -> Iterator[Registry]:
    shelf = Shelf()
    with shelf.served("AWS", PASSWORD) as host:
        for path in (checkout / "environments").rglob("kustomization.yaml"):
            path.write_text(path.read_text().replace("registry.example.com", host))
        committed(checkout, "environments: the registry of this test")
        yield Registry(checkout, programs, shelf)


def test_images_are_planned_built_and_tagged(registry: Registry) -> None:
    first = git(registry.checkout, "rev-parse", "HEAD")
    repositories = yaml.safe_load((registry.checkout / "environments/staging/kustomization.yaml").read_text())
    prefix = repositories["images"][0]["newName"].rpartition("/")[0]
    for image in ("collector", "console", "decision", "forecast", "oncall", "training"):
        registry.shelf.put(f"{prefix}/{image}", first, f"{image} 1".encode())
    routes = registry.checkout / "apps/decision/routes.py"
    routes.write_text(f"{routes.read_text()}# changed\n")
    second = committed(registry.checkout, "decision: a comment")

    (entry,) = registry.plan()
    assert entry == {
        "image": "decision",
        "dockerfile": "apps/decision/Dockerfile",
        "repository": f"{prefix}/decision",
    }
    registry.push(entry, b"decision 2")
    assert registry.run("tag", "image_tags tag").returncode == 0
    old, new = registry.tagged(first), registry.tagged(second)
    assert {name for name in new if new[name] != old[name]} == {"decision"}
    assert set(new) == set(old)


def test_a_wrong_password_builds_nothing(registry: Registry) -> None:
    registry.programs.add("aws", says="wrong")
    done = registry.run("plan", "image_tags plan")
    assert done.returncode == 70
    assert not (registry.checkout.parent / "output").exists()


def test_the_signature_and_the_sbom_belong_to_the_digest(checkout: Path, programs: Programs) -> None:
    programs.add("cosign")
    image = f"registry.example.com/purchase-prediction/forecast@sha256:{'0' * 64}"
    done = step("images", "build", "cosign").run(checkout, {"IMAGE": image}, programs.folder)
    assert done.returncode == 0, done.stderr
    sbom = str(checkout.parent / "sbom.json")
    attest = ["attest", "--yes", "--type", "cyclonedx", "--predicate", sbom, image]
    assert programs.told("cosign") == ["sign", "--yes", image, *attest]
    job = load(ROOT / ".github/workflows/images.yaml")["jobs"]["build"]["steps"]
    order = [each.get("name") or each.get("uses", "").partition("@")[0] for each in job]
    assert order[-4:] == [
        "sigstore/cosign-installer",
        "Sign, and attest the SBOM",
        "actions/attest",
        "Tag what is built, listed and signed",
    ]
    (listing,) = (each["with"] for each in job if "sbom-action" in each.get("uses", ""))
    assert listing["output-file"] == "${{ runner.temp }}/sbom.json"
    assert listing["format"] == "cyclonedx-json"


# --- promotion-check ----------------------------------------------------------------------------------------------

CHECK = ("check-promotion", None, "scripts.promote check")


SETTINGS = "environments/production/settings.yaml"
SMALL = {
    "environments/production/kustomization.yaml": "resources: [settings.yaml]\n",
    "environments/production/promotion.yaml": "needs_approval: true\nimages: false\n",
    SETTINGS: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: one}\n",
}


def test_a_change_is_judged_and_its_difference_shown_and_commented_on(checkout: Path) -> None:
    """With the real `promote check`, on a forge on disk."""
    release = (checkout / "environments/production/release.yaml").read_text()
    shutil.rmtree(checkout / "environments")
    for path, text in {**SMALL, "environments/production/release.yaml": release}.items():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text(text)
    forge = LocalForge.create(checkout.parent / "forge.git", checkout, "github-actions[bot]")
    head = proposed(forge, "refs/heads/main", SETTINGS, SMALL[SETTINGS].replace("one", "two"))
    number = forge.acting_as("anna").open_pull_request("change", "a change", "").number
    given = {
        "NUMBER": str(number),
        "ML_TRACKING_URI": f"sqlite:///{checkout.parent}/none.sqlite",
        "OPTIONS": "--comment",
        "PROMOTE_REPOSITORY": str(forge.directory),
    }
    done = step(*CHECK).run(checkout, {**given, "HEAD": head})
    assert done.returncode == 0, done.stderr
    assert outputs(checkout) == {"environment": ""}
    (comment,) = forge.comments(number)
    for text in (comment["text"], (checkout.parent / "summary").read_text()):
        assert "\n-  a: one\n+  a: two\n" in text

    worse = proposed(forge, head, "environments/production/release.yaml", "mine")
    done = step(*CHECK).run(checkout, {**given, "HEAD": worse})
    assert done.returncode != 0, "it is judged as a promotion, which it is not"
    assert not (checkout.parent / "output").exists()


def proposed(forge: LocalForge, parent: str, path: str, text: str) -> str:
    """The head of the branch `change` with one file written."""
    repository, anna = Git(forge.directory), Identity("anna", "anna@example.com")
    tree = repository.tree_with(parent, {path: f"100644 {repository.write_blob(text.encode())}"})
    head = repository.commit_tree(tree, [parent], "a change", anna, repository.commit(parent).at)
    repository.run("update-ref", "refs/heads/change", head)
    return head


@pytest.mark.parametrize(
    ("said", "code", "expected"),
    [
        ({"environment": "production", "awaits": "an approval"}, 0, {"environment": "production"}),
        ({"kind": "change", "comment": "No environment changes."}, 0, {"environment": ""}),
        ({"error": "it is held", "reason": "held"}, 1, None),
        ({"error": "no registry", "reason": "broke"}, 70, None),
    ],
)
def test_the_answer_decides_and_names_the_environment(
    said: dict[str, str], code: int, expected: dict[str, str] | None, tmp_path: Path, programs: Programs
) -> None:
    folder, python = judged_by_a_stand_in(tmp_path)
    python.add("python", json.dumps(said), code)
    given = {"NUMBER": "7", "HEAD": "a" * 40, "ROLE": "arn:aws:iam::1:role/check", "OPTIONS": "--approved"}
    done = step(*CHECK).run(folder, given, programs.folder)
    assert done.returncode == code
    assert json.loads(done.stdout) == said
    assert (outputs(folder) if expected is not None else None) == expected
    options = parsed(python.told("python"))
    assert (options.verb, options.number, options.head, options.approved) == ("check", 7, "a" * 40, True)


def judged_by_a_stand_in(tmp_path: Path) -> tuple[Path, Programs]:
    """A checkout whose Python writes down what it is told."""
    folder = tmp_path / "checkout"
    (folder / ".venv").mkdir(parents=True)
    return folder, Programs(folder / ".venv" / "bin")


def parsed(arguments: list[str]) -> Any:
    """The options that the real command line makes of what Python was told."""
    assert arguments[:2] == ["-m", "scripts.promote"]
    return parser().parse_args(arguments[2:])


@pytest.mark.parametrize("environment", ["", "staging", "production"])
def test_a_promotion_passes_when_one_check_did_and_for_production_both(
    environment: str, tmp_path: Path
) -> None:
    gate = step("promotion-check", "promotion", "CHECKED")
    for check, fork, production in itertools.product(RESULTS, repeat=3):
        given = {"CHECKED": f"{check} {fork}", "ENVIRONMENT": environment, "PRODUCTION": production}
        one = {check, fork} == {"success", "skipped"}
        expected = one and (environment != "production" or production == "success")
        assert (gate.run(tmp_path, given).returncode == 0) == expected, given


def test_merging_is_asked_of_the_workflow_that_has_the_key(tmp_path: Path, programs: Programs) -> None:
    programs.add("gh")
    given = {"ENVIRONMENT": "production", "NUMBER": "7", "GH_REPO": "shop/x", "GH_TOKEN": "t"}
    asking = step("promotion-check", "merge", "gh workflow run")
    assert asking.run(tmp_path, given, programs.folder).returncode == 0
    told = programs.told("gh")
    assert told[:5] == ["workflow", "run", "promotion.yaml", "--ref", "main"]
    fields = dict(each.split("=", 1) for flag, each in itertools.pairwise(told) if flag == "--field")
    assert fields == {"verb": "merge", "environment": "production", "number": "7"}
    inputs = load(ROOT / ".github/workflows/promotion.yaml")["on"]["workflow_dispatch"]["inputs"]
    assert set(fields) <= set(inputs)
    assert fields["verb"] in inputs["verb"]["options"]
    assert fields["environment"] in inputs["environment"]["options"]


# --- promotion ----------------------------------------------------------------------------------------------------

HOSTILE = ["$(touch x)", "`touch x`", "; touch x", "' \" \\", "--approve-as=eve", "a b", "*", "-", "\n"]


def told_to_promote(tmp_path: Path, programs: Programs, **variables: str) -> Any:
    folder, python = judged_by_a_stand_in(tmp_path)
    python.add("python", says="{}")
    given = {
        "ENVIRONMENT": "staging",
        "ACCOUNT": "promoter[bot]",
        "REQUESTED_BY": "anna",
        "WAIVED_BY": "anna",
    }
    given |= variables
    done = step("promotion", "promote", "scripts.promote").run(folder, given, programs.folder)
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    options = parsed(python.told("python"))
    assert not (folder / "x").exists()
    shutil.rmtree(folder)
    assert (options.environment, options.account) == ("staging", "promoter[bot]")
    return options


def test_open_takes_only_what_was_filled_in(tmp_path: Path, programs: Programs) -> None:
    options = told_to_promote(tmp_path, programs, VERB="open", MODEL="challenger")
    assert (options.verb, options.model, options.image_tag, options.waive) == (
        "open",
        "challenger",
        None,
        None,
    )
    assert options.requested_by == "anna"
    options = told_to_promote(tmp_path, programs, VERB="open", IMAGE_TAG="9c0d7e2")
    assert (options.model, options.image_tag) == (None, "9c0d7e2")


def test_a_gate_is_waived_by_whom_the_form_names_with_a_reason(tmp_path: Path, programs: Programs) -> None:
    waived = {"VERB": "open", "WAIVE": "drift", "WAIVED_BY": "bo"}
    options = told_to_promote(tmp_path, programs, **waived, REASON="too young to know")
    assert (options.waive, options.by, options.reason) == (["drift"], "bo", "too young to know")
    assert told_to_promote(tmp_path, programs, **waived).reason == "", "which is refused"


def test_rollback_and_merge(tmp_path: Path, programs: Programs) -> None:
    options = told_to_promote(tmp_path, programs, VERB="rollback", REASON="p95 doubled")
    assert (options.verb, options.reason) == ("rollback", "p95 doubled")
    assert told_to_promote(tmp_path, programs, VERB="rollback").reason == "rolled back"
    options = told_to_promote(tmp_path, programs, VERB="merge", NUMBER="7")
    assert (options.verb, options.number, options.approve_as) == ("merge", 7, None)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_filled_in_stays_a_value(text: str, tmp_path: Path, programs: Programs) -> None:
    options = told_to_promote(
        tmp_path, programs, VERB="open", MODEL=text, IMAGE_TAG=text, WAIVE=text, REASON=text
    )
    assert (options.model, options.image_tag, options.waive, options.reason) == (text, text, [text], text)
    assert told_to_promote(tmp_path, programs, VERB="rollback", REASON=text).reason == text


def test_the_verbs_and_variables_of_the_form_are_those_of_the_command(tmp_path: Path) -> None:
    workflow = load(ROOT / ".github/workflows/promotion.yaml")
    inputs = workflow["on"]["workflow_dispatch"]["inputs"]
    for verb in inputs["verb"]["options"]:
        parser().parse_args([verb, "--environment", "staging"])
    assert {name.upper() for name in inputs} <= set(workflow["env"])


def test_who_asks_is_the_account_of_the_forge_unless_the_console_asks() -> None:
    """An approver could otherwise ask in another's name and approve it."""
    asked = load(ROOT / ".github/workflows/promotion.yaml")["env"]["REQUESTED_BY"]
    assert asked == (
        "${{ github.actor == vars.CONSOLE_ACCOUNT && github.event.client_payload.requested_by || github.actor }}"
    )


def test_a_variable_that_nobody_gives_is_an_error(tmp_path: Path) -> None:
    """The control of running with `-u`."""
    lost = Step("x", "y", {"run": 'echo "$NOBODY_GIVES_THIS"'}, {})
    assert lost.run(tmp_path, {}).returncode != 0
