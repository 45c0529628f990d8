"""Histories that callers send, week by week, beside the shop's and those before; the verdict never hears of them."""

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from ml.drift.live_requests import FEWEST, WEEKS, distances, live_requests
from ml.errors import StoreUnavailable
from ml.history import History
from ml.served import Served
from ml.verbs import drift

MONDAYS = ("2026-10-05", "2026-10-12", "2026-10-19")


def shop(n: int = 60, months: int = 24) -> History:
    """Products that sell much the same every month, the last of them began three months ago."""
    rng = np.random.default_rng(5)
    units = rng.poisson(20, (n, months)).astype(float)
    units[-1, : months - 3] = np.nan
    first = np.datetime64("2024-11", "M")
    names = tuple(f"P{k:02}" for k in range(n))
    return History(names, ("x",) * n, np.arange(first, first + months), units, np.full((n, months), 100.0))


def sample(kind: str, months: int, last: float) -> dict[str, Any]:
    return {"demand_class": kind, "history_months": months, "last_month_units": last, "mean": 1.0}


def like_the_shop(count: int) -> list[dict[str, Any]]:
    units = shop().units[:, -1]
    return [sample("smooth", 24, float(units[k % 60])) for k in range(count)]


def part(day: str, samples: list[dict[str, Any]]) -> tuple[str, Served]:
    empty: Counter[str] = Counter()
    times = (f"{day}T00:00:00+00:00", f"{day}T00:05:00+00:00")
    return day, Served(1, "a" * 64, "2026-09.aa", empty, Counter(), len(samples), samples, 1, *times)


def parts(*weeks: list[dict[str, Any]]) -> Iterator[tuple[str, Served | None]]:
    return iter([part(day, sent) for day, sent in zip(MONDAYS, weeks, strict=False)])


def test_what_is_like_the_shop_is_near_and_what_is_not_is_far() -> None:
    other = [sample("lumpy", 3, 900.0)] * 40
    near, far = live_requests(shop(), parts(like_the_shop(60), other)).weeks
    assert near.shop is not None
    assert max(near.shop.values()) < 0.1
    assert near.before is None, "nothing was before"
    assert far.shop == {
        "demand_class": 1.0,
        "history_months": pytest.approx(59 / 60),
        "last_month_units": 1.0,
    }
    assert far.before == {"demand_class": 1.0, "history_months": 1.0, "last_month_units": 1.0}


def test_a_week_is_compared_with_all_before_it_and_files_of_a_week_belong_together() -> None:
    one, other = like_the_shop(30), [sample("lumpy", 3, 900.0)] * 30
    whole = [part("2026-10-05", one), part("2026-10-12", other[:10]), part("2026-10-18", other[10:])]
    found = live_requests(shop(), [*whole, part("2026-10-19", other)])
    assert [(each.week, each.samples) for each in found.weeks] == list(
        zip(MONDAYS, (30, 30, 30), strict=True)
    )
    last = found.weeks[-1].before
    assert last is not None
    assert last["demand_class"] == 0.5, "half of what came before was so"


def test_few_histories_say_nothing() -> None:
    (week,) = live_requests(shop(), parts(like_the_shop(FEWEST - 1))).weeks
    assert (week.samples, week.shop, week.before) == (FEWEST - 1, None, None)
    assert live_requests(shop(), []).weeks == ()


def test_only_the_newest_weeks_are_told_and_unreadable_files_are_counted() -> None:
    days = [str(np.datetime64("2026-01-05") + 7 * k) for k in range(WEEKS + 3)]
    found = live_requests(shop(), [*(part(day, like_the_shop(1)) for day in days), ("broken", None)])
    assert [each.week for each in found.weeks] == days[3:]
    assert found.unreadable == 1


def test_the_distance_of_numbers_is_that_of_kolmogorov_and_smirnov() -> None:
    """By scipy, on samples with ties."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        one, other = rng.poisson(3, 40), rng.poisson(rng.uniform(2, 6), 55)
        found = distances(
            {"demand_class": ["a"] * 40, "history_months": one.tolist(), "last_month_units": one.tolist()},
            {
                "demand_class": ["b"] * 55,
                "history_months": other.tolist(),
                "last_month_units": other.tolist(),
            },
        )
        assert found is not None
        assert found["history_months"] == pytest.approx(ks_2samp(one, other).statistic)


def test_a_place_that_is_away_is_said_and_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object) -> None:
        raise StoreUnavailable("nobody answers")

    monkeypatch.setattr(drift, "place_of_served", away)
    assert drift._live_requests(Namespace(served="s3://served"), shop()) == {"unknown": "nobody answers"}
