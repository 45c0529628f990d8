"""Unusual months: the tail of a small sample, the correction for many tests, the floor under effects."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import t as student

from ml.unusual import ALPHA, FAMILIES, SMALLEST_REFERENCE, Finding, compare, corrected


def finding(name: str, p_value: float, effect: float = 1.0) -> Finding:
    return Finding(name, effect, 0.0, effect, 0.2, p_value)


def drifted(findings: Sequence[Finding]) -> list[str]:
    return [each.name for each in corrected(list(findings)) if each.drifted]


def test_a_month_is_compared_as_a_new_draw_of_a_normal_sample() -> None:
    """T = (value - mean) / (s sqrt(1 + 1/n)) with n - 1 degrees of freedom."""
    earlier = np.array([0.1, -0.2, 0.3, 0.0, -0.1, 0.2, 0.1])
    (found,) = compare({"shop:volume": 0.9}, [{"shop:volume": value} for value in earlier])
    t = (0.9 - earlier.mean()) / (earlier.std(ddof=1) * np.sqrt(1 + 1 / 7))
    assert found.p_value == pytest.approx(2 * student.sf(t, 6))
    assert found.effect == pytest.approx(0.9 - earlier.mean())


def test_too_few_earlier_months_are_no_test() -> None:
    months = [{"shop:volume": 0.1 * i} for i in range(SMALLEST_REFERENCE - 1)]
    assert compare({"shop:volume": 9.0, "shop:rank": 0.5}, months) == []


def test_months_that_never_moved_do_not_make_every_change_certain() -> None:
    (found,) = compare({"shop:rank": 0.51}, [{"shop:rank": 0.5}] * 8)
    assert found.p_value > ALPHA


def test_holms_correction_by_hand() -> None:
    """Shop may spend .02: of three tests the least p counts 3 times, the next twice; .005 x 3 / .4 = .0375."""
    found = {
        f.name: f for f in corrected([finding(f"shop:{i}", p) for i, p in enumerate((0.005, 0.02, 0.9))])
    }
    assert [found[f"shop:{i}"].p_value for i in range(3)] == pytest.approx([0.0375, 0.1, 1.0])
    assert [found[f"shop:{i}"].drifted for i in range(3)] == [True, False, False]


def test_a_small_effect_is_no_drift_however_sure() -> None:
    assert drifted([finding("shop:a", 1e-9, effect=0.19), finding("shop:b", 1e-9, effect=-0.21)]) == [
        "shop:b"
    ]


def test_many_categories_do_not_drown_the_shop() -> None:
    categories = [finding(f"category {i}:volume", 0.5) for i in range(200)]
    assert drifted([finding("shop:volume", 0.01), *categories]) == ["shop:volume"]
    assert drifted([finding("category x:volume", 0.01), *categories]) == []


def test_alarms_in_months_like_the_others_are_as_rare_as_promised() -> None:
    """Normal months of all families: at most 5 % alarms, here of 2,000 (three standard errors allowed)."""
    rng = np.random.default_rng(5)
    names = [f"{family}{i}:volume" for family in ("shop:", "category ", "change:") for i in range(6)]
    alarms = 0
    for _ in range(2_000):
        months = [dict(zip(names, row, strict=True)) for row in rng.normal(0, 1, (9, len(names))).tolist()]
        alarms += bool(drifted(compare(months[-1], months[:-1])))
    promised = sum(FAMILIES.values()) * ALPHA
    assert promised < ALPHA
    assert 0.01 < alarms / 2_000 < promised + 3 * np.sqrt(promised * (1 - promised) / 2_000)
