"""What the tests of promotion share."""

from pathlib import Path

import pytest

from tests.scripts.world import FROM_STAGING, IMAGES, World


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Copied by `world`: making a repository takes longer than copying one."""
    return World(tmp_path_factory.mktemp("empty"))


@pytest.fixture(scope="session")
def promoted(empty: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Copied by `two_live`."""
    world = empty.copied(tmp_path_factory.mktemp("promoted") / "world")
    world.promote(1)
    world.promote(2)
    return world


@pytest.fixture
def world(empty: World, tmp_path: Path) -> World:
    """A forge with the environment `local`, nothing released, and no model."""
    return empty.copied(tmp_path / "world")


@pytest.fixture
def two_live(promoted: World, tmp_path: Path) -> World:
    """Model 1 was promoted to `local` and then model 2; `promoted` has both merges."""
    return promoted.copied(tmp_path / "world")


@pytest.fixture(scope="session")
def tried(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Copied by `soaked`."""
    rules = {"staging": IMAGES, "production": FROM_STAGING}
    world = World(tmp_path_factory.mktemp("tried") / "world", ("staging", "production"), rules=rules)
    world.promote(1, environment="staging")
    world.soak()
    return world


@pytest.fixture
def soaked(tried: World, tmp_path: Path) -> World:
    """Staging has served model 1 for an hour, production has nothing yet and takes what staging runs."""
    return tried.copied(tmp_path / "world")
