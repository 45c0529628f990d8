"""All images of a release carry its commit as tag; what did not change gets the tag and no build."""

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts import image_tags
from scripts.errors import Refused
from scripts.images.image_registry import ImageRegistry
from tests.scripts.commits import commit, repository
from tests.scripts.image_shelf import Shelf

HOME = "registry.example.com/shop/"
OVERLAY = f"""\
namespace: shop-staging
images:
  - {{name: a, newName: {HOME}a}}
  - {{name: b, newName: {HOME}b}}
  - {{name: proxy, newName: {HOME}proxy, newTag: "1.2"}}
""".encode()
FILES = {
    "apps/a/Dockerfile": b"FROM x\nCOPY apps/a apps/a/\nCOPY ml/both.py ml/\n",
    "apps/b/Dockerfile": b"FROM x\nCOPY apps/b apps/b/\nCOPY ml/both.py ml/\n",
    "apps/a/main.py": b"1",
    "apps/b/main.py": b"1",
    "ml/both.py": b"1",
    "README.md": b"1",
    "environments/staging/kustomization.yaml": OVERLAY,
}


class Works:
    """A repository, a registry, and the workflow's jobs between them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.git, self.shelf, self.capsys = repository(folder), Shelf(), capsys
        self.files, self.head = dict(FILES), commit(repository(folder), FILES)
        self.builds: list[tuple[str, str]] = []

    def change(self, *paths: str) -> None:
        self.files |= {path: self.files[path] + b"# +\n" for path in paths}
        self.head = commit(self.git, self.files, self.head)

    def ask(self, verb: str, *more: str) -> tuple[int, Any]:
        arguments = [verb, *more, "--head", self.head, "--repository", str(self.git.directory)]
        code = image_tags.main(arguments, ImageRegistry(self.shelf.transport))
        return code, json.loads(self.capsys.readouterr().out)

    def build(self, image: str) -> None:
        """Push without a tag, then tag."""
        self.builds.append((image, self.head))
        manifest = self.made_of(image)
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        self.shelf.put(HOME + image, digest, manifest)
        assert self.ask("built", "--image", image, "--digest", digest)[0] == 0

    def made_of(self, image: str) -> bytes:
        """What a build of the present commit gives: its files, and nothing of the commit's name."""
        names = (f"apps/{image}/Dockerfile", f"apps/{image}/main.py", "ml/both.py")
        return b"|".join(self.files[name] for name in names)

    def run(self, failing: frozenset[str] = frozenset()) -> int:
        """The whole workflow on the present commit; builds of `failing` images end with an error."""
        code, planned = self.ask("plan")
        assert code == 0
        for entry in planned["build"]:
            assert entry["dockerfile"] == f"apps/{entry['image']}/Dockerfile"
            assert entry["repository"] == HOME + entry["image"]
            if entry["image"] not in failing:
                self.build(entry["image"])
        return self.ask("tag")[0]

    def tags(self) -> set[str]:
        return {image.removeprefix(HOME) for image, tag in self.shelf.tags if tag == self.head}


@pytest.fixture
def works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Works:
    return Works(tmp_path, capsys)


def test_the_first_run_builds_everything(works: Works) -> None:
    assert works.run() == 0
    assert works.tags() == {"a", "b"}
    assert len(works.builds) == 2


def test_only_what_changed_is_built_and_the_rest_gets_the_tag(works: Works) -> None:
    works.run()
    first = works.head
    works.change("apps/a/main.py")
    assert works.run() == 0
    assert works.builds[2:] == [("a", works.head)]
    assert works.tags() == {"a", "b"}
    assert works.shelf.tags[f"{HOME}b", works.head] == works.shelf.tags[f"{HOME}b", first]


def test_a_commit_that_changes_no_image_makes_no_release(works: Works) -> None:
    works.run()
    works.change("README.md")
    assert works.run() == 0
    assert works.tags() == set()


def test_commits_without_a_run_are_caught_up_with(works: Works) -> None:
    works.run()
    works.change("apps/a/main.py")
    works.change("README.md")
    assert works.run() == 0
    assert works.builds[2:] == [("a", works.head)]
    assert works.tags() == {"a", "b"}


def test_a_run_after_a_failed_build_builds_only_that_image(works: Works) -> None:
    works.run()
    works.change("ml/both.py")
    assert works.run(failing=frozenset("b")) == 1
    assert works.tags() == {"a"}
    planned = works.ask("plan")[1]
    assert ([entry["image"] for entry in planned["build"]], planned["keep"]) == (["b"], {})
    assert works.run() == 0
    assert works.builds[2:] == [("a", works.head), ("b", works.head)]


def test_a_change_after_a_failed_build_is_not_hidden_by_the_image_that_was_built(works: Works) -> None:
    works.run()
    works.change("ml/both.py")
    works.run(failing=frozenset("b"))
    works.change("README.md")
    assert works.run() == 0
    assert works.builds[-1] == ("b", works.head)
    assert works.shelf.tags[f"{HOME}b", works.head] == works.made_of("b")


def test_nothing_is_tagged_while_something_is_not_built(works: Works) -> None:
    works.run()
    works.change("apps/a/main.py")
    code, answer = works.ask("tag")
    assert (code, answer["reason"]) == (1, "not_built")
    assert works.tags() == set()


def test_a_tag_that_names_other_bytes_is_not_moved(works: Works) -> None:
    registry = ImageRegistry(works.shelf.transport)
    works.shelf.put(f"{HOME}a", "old", b"old")
    works.shelf.put(f"{HOME}a", "new", b"other")
    with pytest.raises(Refused, match=r"is sha256:.* already"):
        registry.give_tag(f"{HOME}a", "old", "new")
    registry.give_tag(f"{HOME}a", "old", "old")
    assert works.shelf.tags[f"{HOME}a", "new"] == b"other"


def test_an_image_without_a_repository_is_refused(works: Works) -> None:
    works.files["apps/c/Dockerfile"] = b"FROM x\n"
    works.change("README.md")
    code, answer = works.ask("plan")
    assert (code, answer["reason"]) == (1, "no_repository")
    assert works.ask("built", "--image", "d", "--digest", "sha256:1")[1]["reason"] == "no_repository"


def test_an_image_with_two_repositories_is_refused(works: Works) -> None:
    other = OVERLAY.replace(b"shop/a", b"elsewhere/a")
    works.files["environments/production/kustomization.yaml"] = other
    works.change("README.md")
    code, answer = works.ask("plan")
    assert (code, answer["reason"]) == (1, "two_repositories")


def test_a_registry_that_contradicts_itself_is_no_empty_registry(works: Works) -> None:
    def wrong(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"1", headers={"docker-content-digest": "sha256:2"})

    works.shelf.transport = httpx.MockTransport(wrong)
    code, answer = works.ask("plan")
    assert (code, answer["reason"]) == (1, "bad_image")


def test_a_registry_that_is_down_is_no_empty_registry(works: Works) -> None:
    """Otherwise everything would be built and pushed again."""

    def broken(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503)

    works.shelf.transport = httpx.MockTransport(broken)
    code, answer = works.ask("plan")
    assert (code, answer["reason"]) == (70, "broke")


CHANGES = ["apps/a/main.py", "apps/b/main.py", "ml/both.py", "README.md", "apps/a/Dockerfile"]
STEPS = st.lists(
    st.one_of(
        st.sampled_from(CHANGES),
        st.frozensets(st.sampled_from(["a", "b"])),
    ),
    max_size=7,
)


@given(steps=STEPS)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_after_any_history_a_full_tag_holds_exactly_the_files_of_its_commit(
    steps: list[str | frozenset[str]],
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Changes, and runs whose builds partly fail, in any order; then a run without failures."""
    works = Works(tmp_path_factory.mktemp("any"), capsys)
    wanted: dict[tuple[str, str], bytes] = {}
    for step in [*steps, frozenset[str]()]:
        if isinstance(step, str):
            works.change(step)
            continue
        works.run(failing=step)
        wanted |= {(HOME + image, works.head): works.made_of(image) for image in ("a", "b")}
        tagged = {key: value for key, value in works.shelf.tags.items() if ":" not in key[1]}
        assert tagged.items() <= wanted.items()
    assert works.tags() in ({"a", "b"}, set())
    assert works.shelf.moved == 0
    for image in ("a", "b"):
        built = [works.shelf.tags[HOME + each, tag] for each, tag in works.builds if each == image]
        assert all(one != following for one, following in pairwise(built)), "built again for nothing"
