"""One verdict: episodes begin with what is confirmed or sure, ask for one retrain, and end after calm periods."""

from itertools import accumulate

import pytest

from benchmarks.drift_counts import run_length
from ml.drift.verdict import SURE, Judged, Verdict, combined, verdict
from tests.ml.drift.simulated_years import alarms, until_first, verdicts

ANSWERS = {"d": "drift", "n": "no drift", "?": "not enough data", "s": "drift"}


def said(letters: str) -> list[Verdict]:
    """What each period is told: d drift, s sure drift, n none, ? not enough data."""
    found = [
        Judged(f"2026-{k + 1:02}", ANSWERS[letter], SURE if letter == "s" else 0.01)  # type: ignore[arg-type]
        for k, letter in enumerate(letters)
    ]
    return [verdict(past[:-1], past[-1]) for past in accumulate([each] for each in found)]


def retrains(letters: str) -> str:
    return "".join("r" if each.retrain else "." for each in said(letters))


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("nndnnn", "......"),  # one period that is not sure is not enough
        ("nnddnn", "...r.."),
        ("nndndn", "....r."),  # two of the last three
        ("ndnndn", "......"),
        ("nns", "..r"),
        ("nd?dn", "...r."),  # what cannot be judged is passed over
        ("sssssssss", "r........"),  # once per episode
        ("snnnsdd", "r......"),  # three calm periods do not end it
        ("snnnns", "r....r"),
        ("????", "...."),
    ],
)
def test_retrains(letters: str, expected: str) -> None:
    assert retrains(letters) == expected


def test_an_episode_is_named_by_the_period_in_which_it_began() -> None:
    assert [each.episode for each in said("nsdnnnnn")] == [None, *["2026-02"] * 5, None, None]


def test_a_period_that_is_judged_again_says_the_same() -> None:
    """The row that it left and those of later periods do not count for it."""
    past = [Judged("2026-01", "drift", 0.01)]
    now = Judged("2026-02", "drift", 0.01)
    first = verdict(past, now)
    again = verdict([*past, now, Judged("2026-03", "drift", 0.0)], now)
    assert first == again == Verdict("drift", "2026-02", retrain=True)


def test_of_a_period_the_last_finding_counts() -> None:
    past = [Judged("2026-01", "drift", 0.0), Judged("2026-01", "no drift")]
    assert not verdict(past, Judged("2026-02", "drift", 0.01)).retrain


def test_any_part_can_find_drift_and_the_leading_one_says_the_rest() -> None:
    assert combined("no drift", "not enough data", "drift") == "drift"
    assert combined("not enough data", "no drift") == "not enough data"
    assert combined("no drift", "not enough data") == "no drift"


def test_half_a_year_with_an_episode_asks_for_one_retrain() -> None:
    weeks = [week for week, each in enumerate(verdicts(1, (8,), weeks=26)) if each.retrain]
    assert len(weeks) == 1
    assert 8 <= weeks[0] <= 11


def test_runs_to_an_alarm_are_counted_by_hand() -> None:
    """The third run of five is the first alarm; the fourth belongs to it. Bounds for ten: Garwood (1936)."""
    weeks = said("nnddnd")
    assert (until_first(weeks), alarms(weeks)) == ((3, True), 2)
    assert (until_first(weeks[:2]), alarms(weeks[:2])) == ((2, False), 0)
    assert run_length(1_000, 10) == "100.0 runs (54.4 to 208.5; 10 alarms in 1,000 runs)"


@pytest.mark.soak
def test_two_years_without_drift_ask_for_none_in_the_median_and_episodes_for_one_each() -> None:
    still = sorted(sum(each.retrain for each in verdicts(seed)) for seed in range(10))
    assert still[5] == 0
    for seed in range(5):
        weeks = [week for week, each in enumerate(verdicts(seed, (30, 70))) if each.retrain]
        assert sum(30 <= week < 70 for week in weeks) <= 1
        assert sum(week >= 70 for week in weeks) <= 1
