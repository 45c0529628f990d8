"""A killed on-call service loses no alarm, no timer and no mail; `campaign.py` says how to replay one."""

from collections import Counter
from pathlib import Path

import pytest

from tests.apps.oncall.campaign import LEVELS, faults, run


@pytest.mark.parametrize("kills", [2, pytest.param(60, marks=pytest.mark.soak)])
def test_kills_lose_nothing_and_double_at_most_one_mail_each(tmp_path: Path, kills: int) -> None:
    report = run(tmp_path, kills, seed=7)
    assert report["wrong"] == [], report
    assert report["acknowledged"] >= kills


def test_what_is_lost_or_doubled_is_seen() -> None:
    """The control of the test above."""
    whole = Counter({(f"{group}.{person}", f"{person}@x"): 1 for group in range(3) for person in LEVELS})
    assert faults(3, 3, whole, 0) == []
    assert faults(4, 3, whole, 0)
    assert faults(3, 3, whole - Counter({("1.can", "can@x"): 1}), 0) == ["can heard of 2 of 3"]
    twice = whole + Counter({("1.can", "can@x"): 1})
    assert faults(3, 3, twice, 1) == []
    assert faults(3, 3, twice, 0) == ["1 copies too many after 0 kills"]
