"""What the tests of promotion share."""

from pathlib import Path

import pytest

from tests.scripts.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A forge with the environment `local`, nothing released, and no model."""
    return World(tmp_path)
