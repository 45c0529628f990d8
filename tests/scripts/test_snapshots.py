"""Every model that runs, or that a revert would bring back, is forecast with again."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from scripts.history.deployment_history import replay
from scripts.history.git import Commit
from scripts.outside import Outside
from scripts.promote import main
from scripts.release_file import Release
from scripts.running.snapshots import models_of
from tests.scripts.world import World

NO_MODEL = Release(image_tag="unreleased", model_version=0, model_sha256="0" * 64)


def release(version: int, image: str = "abc1234") -> Release:
    return Release(image_tag=image, model_version=version, model_sha256=f"{version:064x}")


def history(environment: str, *releases: Release, commit: Commit) -> Any:
    return replay(environment, [(replace(commit, id=f"{i:040x}"), each) for i, each in enumerate(releases)])


@pytest.fixture
def commit(world: World) -> Commit:
    return world.git.commit("main")


@pytest.mark.parametrize(
    ("releases", "kept"),
    [
        ([NO_MODEL], []),
        ([NO_MODEL, release(1)], [1]),
        ([release(1), release(2), release(3), release(4)], [4, 3, 2]),
        ([release(1), release(1, "b" * 7), release(2), release(2, "c" * 7)], [2, 1]),
        ([release(1), release(2), release(3), release(2)], [2, 3, 1]),
    ],
    ids=["nothing released", "one", "the last three", "images do not count", "after a rollback"],
)
def test_the_models_are_those_of_the_last_releases(
    commit: Commit, releases: list[Release], kept: list[int]
) -> None:
    found = models_of([history("staging", *releases, commit=commit)], back=2)
    assert [version for version, _ in found] == kept


def test_a_model_of_two_environments_is_forecast_with_once(commit: Commit) -> None:
    staging = history("staging", release(1), release(2), commit=commit)
    production = history("production", release(1), commit=commit)
    assert models_of([staging, production], back=2) == {
        (2, f"{2:064x}"): ["staging"],
        (1, f"{1:064x}"): ["staging", "production"],
    }


class Publisher:
    """Notes what it was asked for; one version cannot be read."""

    def __init__(self, broken: int = -1) -> None:
        self.asked: list[tuple[int, str]] = []
        self.broken = broken

    def __call__(self, wanted: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
        self.asked += wanted
        return [
            {"model_version": version} | ({"error": "no bundle"} if version == self.broken else {})
            for version, _ in wanted
        ]


def run(world: World, publisher: Publisher) -> int:
    arguments = ["snapshots", "--repository", str(world.forge.directory)]
    return main(arguments, Outside(publish=publisher))


def test_the_command_reads_the_releases_of_the_trunk(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = Publisher()
    assert run(world, nothing) == 0
    assert (json.loads(capsys.readouterr().out)["models"], nothing.asked) == ([], [])
    world.promote(3)
    publisher = Publisher()
    assert run(world, publisher) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["models"] == [{"model_version": 3, "environments": ["local"]}]
    assert publisher.asked == [(3, world.live().model_sha256)]


def test_a_model_that_cannot_be_read_is_a_no_that_names_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.promote(3)
    world.promote(4)
    assert run(world, Publisher(broken=3)) == 1
    said = json.loads(capsys.readouterr().out)["models"]
    assert [(each["model_version"], "error" in each) for each in said] == [(4, False), (3, True)]
