"""What a promotion commits: the lines that change, one evidence file, and not one byte more."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from scripts.history.git import Git
from scripts.history.repository import TRUNK
from scripts.promotion.bridge import Wish
from scripts.promotion.opening import open_promotion
from scripts.release_file import Release, edit, evidence_path_of, path_of
from tests.scripts.test_release_file import files
from tests.scripts.world import World

WISHES = (
    (Wish("local", "ada", None, "def5678"), {"image_tag"}),
    (Wish("local", "ada", "2"), {"model_version", "model_sha256"}),
    (Wish("local", "ada", "2", "def5678"), {"image_tag", "model_version", "model_sha256"}),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two models and nothing released."""
    world = World(tmp_path_factory.mktemp("trained") / "world")
    for version in (1, 2):
        world.train(version)
    return world


def lines_by_key(data: bytes) -> dict[int, bytes]:
    """Lines with their ends, found without the code under test."""
    return dict(enumerate(data.splitlines(keepends=True)))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files())
def test_an_image_is_one_line_a_model_two_both_three_whatever_the_file_looks_like(
    trained: World, file: tuple[bytes, Release]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = trained.copied(Path(folder) / "world")
        first = world.registry.entries[1]
        live = Release(image_tag="abc1234", model_version=1, model_sha256=first.sha256)
        before = edit(file[0], live)
        world.commit_as_person("as a person wrote it", {path_of("local"): before})
        for wish, keys in WISHES:
            opened = open_promotion(world.bridge, wish)
            assert opened.pull_request is not None
            check_commit(world.git, opened.pull_request.head, opened.release, before, keys)


def check_commit(git: Git, head: str, release: Release, before: bytes, keys: set[str]) -> None:
    evidence = evidence_path_of("local", release)
    touched = git.changed_paths(TRUNK, head)
    assert set(touched) == {path_of("local"), evidence}
    assert touched[evidence][0] is None  # a new file
    after = git.read(head, path_of("local")) or b""
    old, new = lines_by_key(before), lines_by_key(after)
    assert len(old) == len(new)
    changed = {number for number in old if old[number] != new[number]}
    assert len(changed) == len(keys)
    for number in changed:
        (key,) = [key for key in keys if key.encode() in old[number]]
        start, _, end = new[number].partition(f'"{getattr(release, key)}"'.encode())
        assert old[number].startswith(start)
        assert old[number].endswith(end)
