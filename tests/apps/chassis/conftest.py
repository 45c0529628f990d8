"""A provider of tokens for every test that wants one."""

from collections.abc import Iterator

import pytest

from tests.apps.identity_provider import Provider, provider


@pytest.fixture
def idp() -> Iterator[Provider]:
    """On a free port, with keys that a test may change."""
    with provider() as found:
        yield found
