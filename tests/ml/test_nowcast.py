"""The open month: its pace, its usual size, and how wrong the same estimate was on months that are closed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml.nowcast import DailyUnits, nowcast, weekday_weights

MONTH = np.datetime64("2026-01", "M")


def days(months: int, known: int) -> np.ndarray[tuple[int, ...], np.dtype[np.datetime64]]:
    """All days of so many closed months and the first ones of January 2026."""
    return np.arange((MONTH - months).astype("datetime64[D]"), MONTH.astype("datetime64[D]") + known)


def steady(months: int, known: int, by_day: float = 10.0) -> DailyUnits:
    """Two products of two categories that sell the same each day."""
    when = days(months, known)
    return DailyUnits(("A", "B"), ("x", "y"), when, np.full((2, len(when)), by_day), MONTH)


def poisson(
    products: int, known: int, seed: int = 0, months: int = 25
) -> tuple[DailyUnits, np.ndarray[Any, Any]]:
    """Products that sell more at weekends and at the end of the month, and what January sold in the end."""
    rng = np.random.default_rng(seed)
    when = days(months, 31)
    weekday, day = when.astype(np.int64) % 7, (when - when.astype("datetime64[M]")).astype(np.int64)
    rate = np.where((weekday == 2) | (weekday == 3), 2.0, 1.0) * np.where(day >= 20, 2.0, 1.0)
    level = (
        rng.gamma(2.0, 1.0, products)[:, np.newaxis]
        * rng.gamma(20, 1 / 20, (products, months + 1))[
            :, (when.astype("datetime64[M]") - when[0].astype("datetime64[M]")).astype(np.int64)
        ]
    )
    units = rng.poisson(level * rate).astype(np.float64)
    open_month = when.astype("datetime64[M]") == MONTH
    cut = ~open_month | (day < known)
    ids = tuple(f"P{i:03d}" for i in range(products))
    names = tuple("ab"[i % 2] for i in range(products))
    return DailyUnits(ids, names, when[cut], units[:, cut], MONTH), units[:, open_month].sum(axis=1)


def test_a_product_that_sells_every_day_alike_is_known_exactly() -> None:
    said = nowcast(steady(18, 10))
    assert (said["month"], said["days"], said["months_learned_from"]) == ("2026-01", 10, 18)
    assert said["elapsed_share"] == pytest.approx(10 / 31, abs=1e-3)
    assert said["shop"]["so_far"] == 200
    assert said["shop"]["expected"] == pytest.approx(620, rel=0.02)
    assert said["products"]["A"]["expected"] == pytest.approx(310, rel=0.02)
    assert said["categories"]["y"] == said["products"]["B"]


def test_a_closed_month_is_what_it_sold() -> None:
    said = nowcast(steady(18, 31))
    assert said["shop"] == {"so_far": 620.0, "expected": 620.0, "p10": 620.0, "p90": 620.0}


def test_weekdays_and_days_of_the_month_are_learned() -> None:
    """After 20 of 31 days a rate that doubles from day 21 is at 47 %, not at 65 %."""
    daily, actual = poisson(300, 20)
    said = nowcast(daily)
    assert said["shop"]["expected"] == pytest.approx(actual.sum(), rel=0.05)
    by_the_calendar = said["shop"]["so_far"] * 31 / 20
    assert abs(by_the_calendar - actual.sum()) > 0.15 * actual.sum()


def test_the_interval_holds_what_it_promises() -> None:
    daily, actual = poisson(600, 12, seed=3)
    lines = nowcast(daily)["products"].values()
    low, high = (np.array([line[name] for line in lines]) for name in ("p10", "p90"))
    inside = np.mean((actual >= low) & (actual <= high))
    assert 0.74 <= inside <= 0.92
    assert np.mean(actual > high) <= 0.14
    assert np.mean(actual < low) <= 0.14


def test_it_is_nearer_than_the_pace_alone_and_the_usual_month_alone() -> None:
    daily, actual = poisson(600, 6, seed=5)
    said = nowcast(daily)
    expected = np.array([line["expected"] for line in said["products"].values()])
    so_far = np.array([line["so_far"] for line in said["products"].values()])
    recent = daily.units[
        :, (daily.days >= np.datetime64("2025-10-01")) & (daily.days < np.datetime64("2026-01-01"))
    ]

    def error(forecast: np.ndarray[Any, Any]) -> float:
        return float(np.sum((forecast - actual) ** 2))

    assert error(expected) < 0.9 * error(so_far / said["elapsed_share"])
    assert error(expected) < error(recent.sum(axis=1) / 3)


def test_nothing_of_the_open_month_reaches_what_was_learned() -> None:
    daily, _ = poisson(40, 12)
    doubled = daily.units.copy()
    doubled[:, -12:] *= 2
    before, after = nowcast(daily), nowcast(replace(daily, units=doubled))
    assert after["elapsed_share"] == before["elapsed_share"]
    assert after["shop"]["so_far"] == 2 * before["shop"]["so_far"]


def test_where_nothing_is_known_it_says_so() -> None:
    assert nowcast(steady(18, 0))["unknown"] == "no day of 2026-01 is over"
    assert "3 closed months" in nowcast(steady(3, 9))["unknown"]
    assert "shop" not in nowcast(steady(3, 9))
    few = nowcast(steady(6, 9))
    assert few["shop"]["p10"] is None, "three past errors make no interval"
    assert few["shop"]["expected"] > 0


def test_a_product_first_sold_in_the_open_month_goes_on_at_its_pace() -> None:
    daily = steady(18, 10)
    units = daily.units.copy()
    units[1, :-10] = 0
    line = nowcast(replace(daily, units=units))["products"]["B"]
    assert line["so_far"] == 100
    assert line["expected"] == pytest.approx(310, rel=0.1)


def test_weekdays_of_a_shop_that_sold_nothing_count_alike() -> None:
    when = days(3, 0)
    assert weekday_weights(when, np.zeros(len(when))).tolist() == [1.0] * 7
