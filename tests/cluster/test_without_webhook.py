"""Argo CD also finds a release when nobody tells it."""

import pytest

from tests.cluster.progress import tell
from tests.cluster.releases import ensure, release
from tests.cluster.world import World

pytestmark = [pytest.mark.cluster, pytest.mark.soak]


def test_a_release_is_found_without_a_webhook(world: World) -> None:
    older, newer = (world.release(tag, world.first) for tag in world.tags)
    ensure(world, "staging", older)
    world.repository.remove_webhooks()
    served = release(world, "staging", newer)
    tell(f"without a webhook live after {served.seconds} s")
