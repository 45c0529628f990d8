"""One platform for all cluster tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.cluster import progress
from tests.workflows.platform import Platform, platform


def pytest_configure(config: pytest.Config) -> None:
    """Let progress through to the terminal."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        progress.shown = capture.global_and_fixture_disabled


@pytest.fixture(scope="package", name="platform")
def _platform() -> Iterator[Platform]:
    with platform() as made:
        yield made
