"""One world for all tests of this folder, gone before the next folder's tests use the same namespaces."""

from collections.abc import Iterator

import pytest

from tests.cluster import progress
from tests.cluster.world import World, world


def pytest_configure(config: pytest.Config) -> None:
    """Let progress through to the terminal."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        progress.shown = capture.global_and_fixture_disabled


@pytest.fixture(scope="package", name="world")
def _world() -> Iterator[World]:
    with world() as made:
        yield made
