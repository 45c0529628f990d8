"""A shop for tests that break what they serve."""

from pathlib import Path

import pytest

from tests.apps.forecast.store import Shop, stored_shop


@pytest.fixture
def own(tmp_path: Path) -> Shop:
    """A shop that a test may break; it has a model and no snapshot."""
    return stored_shop(tmp_path / "store")
