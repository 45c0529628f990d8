"""The longest tests start first, so that parallel workers end together; drawn inputs have no deadline."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

LONGEST = ("test_killed_demos", "test_two_checkouts", "test_a_second_demo")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the longest to the front; the order of the others stays."""
    items.sort(key=lambda item: not item.name.startswith(LONGEST))
