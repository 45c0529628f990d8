"""A killed collector loses nothing it acknowledged; `campaign.py` says how to replay one."""

from pathlib import Path

import pytest

from tests.apps.collector.campaign import Campaign, sqlite_ids
from tests.apps.collector.senders import NO_FAULTS


def campaign(path: Path, kills: int, module: str = "apps.collector", seed: int = 7) -> Campaign:
    one = Campaign(str(path), lambda: sqlite_ids(path), seed, module)
    one.kill_collectors(kills)
    return one


@pytest.mark.parametrize("kills", [2, pytest.param(200, marks=pytest.mark.soak)])
def test_a_killed_collector_loses_doubles_and_halves_nothing(tmp_path: Path, kills: int) -> None:
    report = campaign(tmp_path / "inbox.sqlite", kills).report()
    assert report["faults"] == NO_FAULTS, report
    assert report["acknowledged"] > 20 * kills


def test_one_that_acknowledges_before_its_commit_is_caught(tmp_path: Path) -> None:
    """The control: events are lost with the process, and a batch is seen in part."""
    faults = campaign(tmp_path / "inbox.sqlite", 2, "tests.apps.collector.eager").report()["faults"]
    assert faults["lost"] > 0
    assert faults["halves"] > 0
