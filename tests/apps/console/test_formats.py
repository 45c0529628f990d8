"""Numbers and ages as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.console import formats, turkish
from apps.console.formats import DASH, MINUS

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_numbers_have_thousands_and_a_real_minus() -> None:
    assert formats.number(-1234.56) == MINUS + "1,234.6"
    assert formats.money(123_450) == "1,234.50"
    assert formats.percent(0.1234, 1) == "12.3\xa0%"
    assert [formats.units(value) for value in (0.0, 3.0, 3.04, 99.96, 1234.5)] == [
        "0",
        "3",
        "3.0",
        "100.0",
        "1,234",
    ]


def test_what_is_not_there_is_a_dash() -> None:
    assert {formats.number(None), formats.units(None), formats.percent(None), formats.money(None)} == {DASH}
    assert [formats.measure(cell) for cell in (None, "nan", True, 2)] == [None, None, None, 2.0]


def test_a_month_has_its_name_in_the_language() -> None:
    assert [formats.month(text) for text in ("2026-01", "2025-12", "later", "2026-13")] == [
        "January\xa02026",
        "December\xa02025",
        "later",
        "2026-13",
    ]
    assert formats.month("2026-09", short=True) == "Sep\xa02026"
    assert (turkish.month("2026-08"), turkish.month("2026-08", short=True)) == (
        "Ağustos\xa02026",
        "Ağu\xa02026",
    )


def test_only_more_than_nothing_gets_a_plus() -> None:
    assert [formats.signed(text) for text in ("1.5", "0.0", MINUS + "2", DASH, "0\xa0%")] == [
        "+1.5",
        "0.0",
        MINUS + "2",
        DASH,
        "0\xa0%",
    ]


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (timedelta(seconds=-5), ("minute", 0)),
        (timedelta(seconds=59), ("minute", 0)),
        (timedelta(minutes=59), ("minute", 59)),
        (timedelta(hours=23, minutes=59), ("hour", 23)),
        (timedelta(days=400), ("day", 400)),
    ],
)
def test_an_age_is_its_largest_unit(passed: timedelta, said: tuple[str, int]) -> None:
    assert formats.age(NOW - passed, NOW) == said
