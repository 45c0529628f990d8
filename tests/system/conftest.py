"""A demo that stays up, for the tests that look at it from outside."""

from collections.abc import Iterator

import pytest

from tests.scripts.running_demo import UP, RunningDemo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """Every service of a finished demo, with MLflow."""
    running = RunningDemo(tmp_path_factory.mktemp("demo"))
    running.wait_for(UP)
    running.wait_for("Ctrl-C stops everything")
    yield running
    assert running.interrupt() == 130
