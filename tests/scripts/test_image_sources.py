"""An image is rebuilt when a file that it is made of changed, and never left as it was."""

import fnmatch
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.history.git import Git
from scripts.images.image_sources import changed_images, dockerfiles, sources
from tests.repository.imports import ROOT, closure, modules
from tests.repository.test_images import roots
from tests.scripts.commits import ANNA, AT, Files, commit, repository

# --- the real tree ------------------------------------------------------------------------------------------------

SERVICES = ("collector", "forecast", "decision", "console", "oncall")
COPIED_BESIDE = {"console": {"scripts/promotion/pull_request.md.j2", "tools/go.mod", "tools/go.sum"}}
"""Files outside of the service's own folder that are no modules."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Git, dict[str, bytes], str]:
    """The files of the checkout as one commit."""
    files = {
        str(path.relative_to(ROOT)): path.read_bytes()
        for folder in ("apps", "ml", "scripts", "requirements", "tools", "docs")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }
    files[".dockerignore"] = (ROOT / ".dockerignore").read_bytes()
    git = repository(tmp_path_factory.mktemp("tree"))
    return git, files, commit(git, files)


@pytest.mark.parametrize("service", SERVICES)
def test_the_sources_are_the_import_closure_the_lock_and_what_comes_with_them(
    service: str, tree: tuple[Git, dict[str, bytes], str]
) -> None:
    git, files, head = tree
    found = sources(git, head, f"apps/{service}/Dockerfile")
    imported = {str(modules()[name].relative_to(ROOT)) for name in closure(*roots(service))}
    assert {path for path in found if path.endswith(".py")} == imported
    assert {f"requirements/{service}.txt", f"apps/{service}/Dockerfile", ".dockerignore"} <= set(found)
    rest = {path for path in found if not path.endswith(".py")}
    assert {
        path for path in rest if not path.startswith(("apps/", "requirements/", ".dockerignore"))
    } == COPIED_BESIDE.get(service, set())
    assert len(found) < len(files) / 2


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("apps/console/templates/base.html", ["console"]),
        ("apps/chassis/health.py", ["collector", "console", "decision", "forecast", "oncall"]),
        ("apps/forecast/schemas.py", ["console", "decision", "forecast"]),
        ("apps/forecast/Dockerfile", ["forecast"]),
        ("requirements/decision.txt", ["decision"]),
        (".dockerignore", ["collector", "console", "decision", "forecast", "oncall", "training"]),
        ("ml/event_store.py", ["collector", "training"]),
        ("ml/training.py", ["training"]),
        ("scripts/promote.py", ["training"]),
        ("docs/testing.md", []),
    ],
)
def test_one_changed_file_rebuilds_the_images_that_hold_it_and_no_other(
    path: str, expected: list[str], tree: tuple[Git, dict[str, bytes], str]
) -> None:
    git, files, head = tree
    entry = f"100644 {git.write_blob(files[path] + b'# changed')}"
    changed = git.commit_tree(git.tree_with(head, {path: entry}), [head], "change", ANNA, AT)
    assert list(changed_images(git, head, changed)) == expected


def test_an_unknown_base_rebuilds_everything(tree: tuple[Git, dict[str, bytes], str]) -> None:
    git, _, head = tree
    everything = [{"image": name, "dockerfile": f"apps/{name}/Dockerfile"} for name in sorted(SERVICES)]
    everything.append({"image": "training", "dockerfile": "ml/Dockerfile"})
    for base in ("0" * 40, "", "no-such-branch"):
        assert _printed(git, base, head) == everything
    assert _printed(git, head, head) == []


def _printed(git: Git, base: str, head: str) -> list[dict[str, str]]:
    commits = ("--base", base, "--head", head)
    done = subprocess.run(
        [sys.executable, "-m", "scripts.changed_images", *commits, "--repository", str(git.directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    answer: list[dict[str, str]] = json.loads(done.stdout)
    return answer


# --- any tree, against a builder that knows what it copies ---------------------------------------------------------

PATHS = ["apps/a/main.py", "apps/a/page.html", "apps/a/sub/x.py", "apps/b/main.py", "ml/one.py", "ml/two.py"]
PATHS += ["ml/deep/three.py", "requirements/a.txt", "requirements/b.txt", "README.md", "odd name.txt"]


@dataclass(frozen=True)
class Copy:
    """A line of a Dockerfile, and the files that Docker takes for it out of all there are."""

    line: str
    pattern: str
    plain: bool = True

    def takes(self, path: str) -> bool:
        return fnmatch.fnmatchcase(path, self.pattern)


PLAIN = [
    Copy("COPY ml/one.py ml/", "ml/one.py"),
    Copy("copy ./ml/two.py /srv/ml/two.py", "ml/two.py"),
    Copy("COPY --chown=10001:10001 ml ml/", "ml/*"),
    Copy("COPY ml/deep/ \\\n  # a note in the middle\n  ml/deep/", "ml/deep/*"),
    Copy("COPY \\\n    ml/one.py \\\n\n    ml/", "ml/one.py"),
    Copy("COPY apps/a apps/a/", "apps/a/*"),
    Copy("COPY . .", "*"),
    Copy("COPY --from=builder ml/two.py ml/", ""),
    Copy("# COPY README.md .", ""),
    Copy("RUN cp ml/two.py /dev/null", ""),
]
ODD = [
    Copy("COPY /apps/a apps/a/", "apps/a/*", plain=False),
    Copy("COPY ml/*.py ml/", "ml/*.py", plain=False),
    Copy('COPY ["odd name.txt", "/"]', "odd name.txt", plain=False),
    Copy("ADD README.md .", "README.md", plain=False),
    Copy("COPY ${WHICH}.md /", "README.md", plain=False),
    Copy("RUN --mount=type=bind,source=ml,target=/ml cp /ml/one.py .", "ml/*", plain=False),
    Copy("RUN <<END\nCOPY is a word in a script\nEND", "", plain=False),
    Copy("COPY missing.txt /", "", plain=False),
]


@dataclass(frozen=True)
class State:
    """A commit: its files, which of them are executable, and the COPY lines of the Dockerfile."""

    files: Files
    executable: frozenset[str]
    copies: list[Copy]

    @property
    def dockerfile(self) -> bytes:
        return written(self.copies)

    def image(self) -> object:
        """What Docker would put into the image: the oracle, which reads no Dockerfile and no Git."""
        taken = [path for path in self.files if any(copy.takes(path) for copy in self.copies)]
        return self.dockerfile, {path: (self.files[path], path in self.executable) for path in taken}

    def is_plain(self) -> bool:
        """Whether every line can be followed: it is plain, and what it names is there."""
        there = (any(map(copy.takes, self.files)) for copy in self.copies if copy.pattern)
        return all(copy.plain for copy in self.copies) and all(there)


states = st.builds(
    State,
    st.dictionaries(st.sampled_from(PATHS), st.sampled_from([b"1\n", b"2\n"]), max_size=len(PATHS)),
    st.frozensets(st.sampled_from(PATHS), max_size=2),
    st.lists(st.sampled_from(PLAIN + ODD), max_size=4, unique_by=lambda copy: copy.line),
)


def written(copies: list[Copy]) -> bytes:
    return "\n".join(["FROM python:3.11-slim", *(c.line for c in copies), 'CMD ["python"]', ""]).encode()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Git:
    return repository(tmp_path_factory.mktemp("any"))


@given(states, states, st.booleans())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_change_of_an_image_is_missed_and_plain_dockerfiles_are_rebuilt_only_for_one(
    empty: Git, old: State, new: State, same_dockerfile: bool
) -> None:
    if same_dockerfile:
        new = replace(new, copies=old.copies)
    base, head = (
        commit(empty, {**state.files, "apps/a/Dockerfile": state.dockerfile}, executable=state.executable)
        for state in (old, new)
    )
    rebuilt = bool(changed_images(empty, base, head))
    differs = old.image() != new.image()
    assert rebuilt or not differs
    if old.is_plain() and new.is_plain():
        assert rebuilt == differs


@pytest.mark.parametrize("copy", ODD, ids=lambda copy: copy.line.partition("\n")[0])
def test_a_dockerfile_that_cannot_be_followed_is_made_of_everything(copy: Copy, tmp_path: Path) -> None:
    git = repository(tmp_path)
    files = {**dict.fromkeys(PATHS, b"1"), "apps/a/Dockerfile": written([copy])}
    head = commit(git, files)
    assert set(sources(git, head, "apps/a/Dockerfile")) == set(files)


def test_a_name_that_docker_takes_for_a_pattern_is_no_plain_name(tmp_path: Path) -> None:
    git = repository(tmp_path)
    files = {"ml/[ab].py": b"1", "ml/a.py": b"1", "apps/a/Dockerfile": b"FROM x\nCOPY ml/[ab].py /\n"}
    assert "ml/a.py" in sources(git, commit(git, files), "apps/a/Dockerfile")


def test_another_command_in_the_same_image_is_another_image(tmp_path: Path) -> None:
    git = repository(tmp_path)
    files = {"ml/one.py": b"1", "apps/a/Dockerfile": b'FROM x\nCOPY ml/one.py /\nCMD ["python"]\n'}
    head = commit(git, {**files, "apps/a/Dockerfile": files["apps/a/Dockerfile"] + b"USER 1\n"})
    assert list(changed_images(git, commit(git, files), head)) == ["a"]


def test_a_copied_link_is_made_of_everything(tmp_path: Path) -> None:
    git = repository(tmp_path)
    files = {"ml/one.py": b"1", "apps/a/Dockerfile": b"FROM x\nCOPY link/one.py /\n"}
    head = commit(git, files)
    for target, line in (("link", "ml"), ("link/one.py", "../ml/one.py")):
        entry = f"120000 {git.write_blob(line.encode())}"
        linked = git.commit_tree(git.tree_with(head, {target: entry}), [head], "link", ANNA, AT)
        assert "ml/one.py" in sources(git, linked, "apps/a/Dockerfile")


def test_images_are_the_dockerfiles_of_services_and_of_the_training(tmp_path: Path) -> None:
    git = repository(tmp_path)
    paths = ["apps/a/Dockerfile", "ml/Dockerfile", "tests/cluster/x/Dockerfile", "apps/b/Dockerfile.dev"]
    head = commit(git, dict.fromkeys(paths, b"FROM x\n"))
    assert dockerfiles(git, head) == {"a": "apps/a/Dockerfile", "training": "ml/Dockerfile"}
