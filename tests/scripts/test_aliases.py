"""The alias `champion` mirrors production's release in Git, and a hand that moved it is found."""

from dataclasses import replace

import pytest

from scripts.errors import Refused
from scripts.running.aliases import CHAMPION, AliasState, mirror, reconciled
from tests.scripts.world import World


def reconcile(world: World, *, fix: bool = False) -> tuple[AliasState, bool]:
    return reconciled(world.forge, world.registry, "local", fix=fix)


def champion(world: World) -> int | None:
    return world.registry.aliases.get(CHAMPION)


def test_before_the_first_release_there_is_no_champion(world: World) -> None:
    assert reconcile(world) == (AliasState("agrees", None, None), False)
    world.train(1)
    world.registry.set_alias(CHAMPION, 1)
    assert reconcile(world, fix=True) == (AliasState("moved", 1, None), False)


def test_until_the_pods_were_asked_the_alias_is_behind_and_a_fix_leaves_it_there(two_live: World) -> None:
    two_live.registry.set_alias(CHAMPION, 1)
    assert reconcile(two_live, fix=True) == (AliasState("behind", 1, 2), False)
    assert champion(two_live) == 1


def test_a_first_release_that_nobody_confirmed_is_behind(world: World) -> None:
    world.promote(1)
    assert reconcile(world, fix=True) == (AliasState("behind", None, 1), False)


def test_one_that_was_moved_by_hand_is_said_and_set_right(two_live: World) -> None:
    two_live.registry.set_alias(CHAMPION, 2)
    assert reconcile(two_live) == (AliasState("agrees", 2, 2), False)
    two_live.train(3)
    two_live.registry.set_alias(CHAMPION, 3)
    assert reconcile(two_live) == (AliasState("moved", 3, 2), False)
    assert champion(two_live) == 3
    assert reconcile(two_live, fix=True) == (AliasState("moved", 3, 2), True)
    assert champion(two_live) == 2


def test_one_that_was_deleted_by_hand_is_set_again(two_live: World) -> None:
    assert reconcile(two_live, fix=True) == (AliasState("moved", None, 2), True)
    assert champion(two_live) == 2


def test_after_a_rollback_the_alias_is_behind_until_it_is_confirmed(two_live: World) -> None:
    two_live.registry.set_alias(CHAMPION, 2)
    two_live.revert_as_person(two_live.promoted[2].commit)
    assert reconcile(two_live) == (AliasState("behind", 2, 1), False)
    assert mirror(two_live.registry, two_live.live()) == 2
    assert reconcile(two_live) == (AliasState("agrees", 1, 1), False)
    assert mirror(two_live.registry, two_live.live()) == 1


def test_a_version_with_other_bytes_is_never_crowned(two_live: World) -> None:
    live = two_live.live()
    two_live.registry.entries[2] = replace(two_live.registry.entries[2], sha256="f" * 64)
    with pytest.raises(Refused, match="the registry says version 2 is ffff"):
        reconcile(two_live, fix=True)
    with pytest.raises(Refused, match="the registry says version 2 is ffff"):
        mirror(two_live.registry, live)
    del two_live.registry.entries[2]
    with pytest.raises(Refused, match="the registry says version 2 is nothing"):
        mirror(two_live.registry, live)
    assert champion(two_live) is None


def test_an_environment_that_does_not_exist_has_no_champion(world: World) -> None:
    with pytest.raises(Refused, match=r"moon/release\.yaml is not on the trunk"):
        reconciled(world.forge, world.registry, "moon", fix=False)
