"""A file that is wrong as a whole stops with one sentence, and the lake is as it was."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ml.errors import BadEvents
from ml.file_checks import ALLOWABLE
from ml.lake import Lake
from tests.ml.small_shop import NOW, SETTINGS, content, good_rows, row, take, write
from tests.ml.test_lake import tree

Rows = list[dict[str, Any]]


def changed(**values: Any) -> Rows:
    """The good rows, each with the values."""
    return [good | values for good in good_rows()]


def naive(rows: Rows) -> Rows:
    return [good | {"event_time": good["event_time"].replace(tzinfo=None)} for good in rows]


def of_month(*months: int) -> Rows:
    return [good for good in good_rows() if good["event_time"].month in months]


LATE = NOW + timedelta(hours=2)

BAD: dict[str, tuple[str, Callable[[], Rows], str]] = {
    "unknown columns": (
        "unknown-columns",
        lambda: [{"event_time": good["event_time"], "cost": 1} for good in good_rows()],
        r"none of the columns \['event_time', 'cost'\] is known as product_id; name it with --map prod",
    ),
    "no currency": (
        "unknown-currency",
        lambda: [{name: good[name] for name in good if name != "currency"} for good in good_rows()],
        r"is known as currency; say which it is, for example --currency EUR",
    ),
    "one product": (
        "one-product",
        lambda: changed(product_id="A"),
        r"purchases of 1 product \['A'\].* --allow one-product",
    ),
    "one month": (
        "one-month",
        lambda: of_month(6),
        r"purchases in 1 month \['2026-06'\].* --allow one-month",
    ),
    "all zeros": (
        "no-row-accepted",
        lambda: changed(quantity=0),
        r"none of the 9 rows of 'shop.parquet' can be accepted \(quantity_not_positive 9\), the first is \{",
    ),
    "only views": (
        "one-product",
        lambda: changed(event_type="view"),
        r"have purchases of 0 product \[\]",
    ),
    "an empty month": (
        "empty-months",
        lambda: of_month(6, 8),
        r"no purchase in 2026-07, but before and after.* --allow empty-months",
    ),
    "future dates": (
        "future-dates",
        lambda: [*good_rows(), row(event_time=LATE)],
        r"occurred_at 2026-11-22 14:00 in row 10 of .* is after now .*\(1 of 10\) with --allow future-dates",
    ),
    "naive timestamps": (
        "naive-timestamps",
        lambda: naive(good_rows()),
        r"'event_time' has times without a zone, the first is '2026-06-10 09:00:00'.*--timezone Europe",
    ),
    "mixed currencies": (
        "mixed-currencies",
        lambda: [*good_rows(), row(currency="EUR")],
        r"currency EUR in row 10 of 'shop.parquet' is not the TRY of most rows.*--allow mixed-currencies",
    ),
    "a quantity of 1e12": (
        "quantity-range",
        lambda: [*good_rows(), row(quantity=10**12)],
        r"quantity 1,000,000,000,000 in row 10 of 'shop.parquet' is above the 1,000,000 .*--allow quantity-r",
    ),
}


WITH_THE_LAKE = {"one-product", "one-month", "empty-months", "mixed-currencies"}
"""Checks that look at file and lake together, so that a filled lake changes the answer."""

CASES = [
    pytest.param(name, filled, id=f"{name}, {'filled' if filled else 'new'} lake")
    for name, (check, _, _) in BAD.items()
    for filled in (False, True)
    if not (filled and check in WITH_THE_LAKE)
]


@pytest.mark.parametrize(("name", "filled"), CASES)
def test_bad_input_stops_the_import_and_leaves_the_lake_as_it_was(
    tmp_path: Path, name: str, filled: bool
) -> None:
    check, rows, message = BAD[name]
    lake = Lake(tmp_path / "lake")
    if filled:
        take(write(tmp_path / "good.parquet", good_rows()), lake)
    before = tree(lake.root)
    with pytest.raises(BadEvents, match=message) as refusal:
        take(write(tmp_path / "shop.parquet", rows()), lake)
    assert refusal.value.check == check
    assert "\n" not in str(refusal.value)
    assert tree(lake.root) == before


def test_the_good_rows_that_the_bad_files_are_made_of_pass(tmp_path: Path) -> None:
    """The control: without the fault the same rows go in."""
    report = take(write(tmp_path / "shop.parquet", good_rows()), Lake(tmp_path / "lake"))
    assert (report.accepted, report.refused) == (9, {})


@pytest.mark.parametrize(
    ("check", "bad", "reason"),
    [
        ("future-dates", row(event_time=LATE), "future_date"),
        ("quantity-range", row(quantity=10**12), "quantity_too_large"),
        ("mixed-currencies", row(currency="EUR"), "other_currency"),
    ],
)
def test_an_allowed_check_refuses_just_the_bad_rows(
    tmp_path: Path, check: str, bad: dict[str, Any], reason: str
) -> None:
    lake = Lake(tmp_path / "lake")
    report = take(write(tmp_path / "shop.parquet", [*good_rows(), bad]), lake, allow=frozenset({check}))
    assert (report.accepted, report.refused) == (9, {reason: 1})
    assert lake.read("quarantine", ["reason", "source"]).collect().rows() == [(reason, "shop.parquet")]


@pytest.mark.parametrize("name", ["one product", "one month", "an empty month"])
def test_an_allowed_check_lets_the_file_pass(tmp_path: Path, name: str) -> None:
    check, rows, _ = BAD[name]
    report = take(write(tmp_path / "shop.parquet", rows()), Lake(tmp_path / "lake"), allow=frozenset({check}))
    assert report.accepted == report.rows


def test_a_small_file_passes_when_the_lake_has_the_rest(tmp_path: Path) -> None:
    """One product and one month are too little alone, and an update as usual for a filled lake."""
    lake = Lake(tmp_path / "lake")
    take(write(tmp_path / "june.parquet", [*of_month(6), *of_month(7)]), lake)
    report = take(write(tmp_path / "august.parquet", [of_month(8)[0]]), lake)
    assert report.accepted == 1


def test_a_file_that_leaves_a_hole_behind_the_lake_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    take(write(tmp_path / "early.parquet", [*of_month(6), *of_month(7)]), lake)
    september = [good | {"event_time": datetime(2026, 9, 3, tzinfo=UTC)} for good in of_month(8)]
    with pytest.raises(BadEvents, match="no purchase in 2026-08, but before and after"):
        take(write(tmp_path / "late.parquet", september), lake)


def test_a_hole_that_was_allowed_once_is_not_asked_about_again(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    take(write(tmp_path / "hole.parquet", of_month(6, 8)), lake, allow=frozenset({"empty-months"}))
    report = take(write(tmp_path / "more.parquet", [row(order_id="another")]), lake)
    assert report.accepted == 1


def test_the_currency_of_the_lake_counts(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    take(write(tmp_path / "lira.parquet", good_rows()), lake)
    before = content(lake)
    with pytest.raises(
        BadEvents, match=r"currency EUR in row 1 of 'euro.parquet' is not the TRY of the lake"
    ):
        take(write(tmp_path / "euro.parquet", changed(currency="EUR")), lake)
    assert all(one.equals(other) for one, other in zip(before, content(lake), strict=True))


def test_few_rows_beyond_an_empty_month_are_refused_as_rows(tmp_path: Path) -> None:
    """One row of 2020 among 999 would make six years of zeros; half of the rows are history."""
    many = [good | {"order_id": f"{good['order_id']}-{i}"} for good in good_rows() for i in range(111)]
    old = row(event_time=datetime(2020, 1, 5, tzinfo=UTC))
    lake = Lake(tmp_path / "lake")
    report = take(write(tmp_path / "shop.parquet", [*many, old]), lake)
    assert (report.accepted, report.refused) == (999, {"isolated_date": 1})
    with pytest.raises(BadEvents, match="no purchase in 2020-02 and 75 months more"):
        take(write(tmp_path / "old.parquet", [old]), lake, allow=frozenset({"isolated-dates"}))


def test_a_date_within_the_tolerance_of_a_fast_clock_is_taken(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    soon = [good | {"event_time": NOW + timedelta(minutes=50)} for good in good_rows()]
    october = [good | {"event_time": datetime(2026, 10, 9, tzinfo=UTC)} for good in good_rows()]
    assert take(write(tmp_path / "shop.parquet", [*soon, *october]), lake).accepted == 18


def test_an_unknown_check_to_allow_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        BadEvents, match="--allow everything names no check; the checks are empty-months, future"
    ):
        take(tmp_path / "shop.parquet", Lake(tmp_path / "lake"), allow=frozenset({"everything"}))


def test_every_check_that_can_be_allowed_is_tried_here() -> None:
    tried = {"future-dates", "quantity-range", "mixed-currencies", "isolated-dates"}
    assert tried | {"one-product", "one-month", "empty-months", "other-pseudonyms"} == ALLOWABLE


@pytest.mark.parametrize("personal", ["customer_id", "user_session"])
def test_rows_of_a_lake_of_other_pseudonyms_are_not_taken_twice(tmp_path: Path, personal: str) -> None:
    nameless = [
        {name: value for name, value in good.items() if name != "customer_id"} for good in good_rows()
    ]
    file = write(tmp_path / "shop.parquet", [good | {personal: "c-1"} for good in nameless])
    lake, other = Lake(tmp_path / "lake"), SETTINGS.model_copy(update={"pseudonym_key": SecretStr("o" * 32)})
    assert take(file, lake).accepted == 9
    assert take(file, lake).duplicate == 9
    with pytest.raises(BadEvents, match="use the key it was filled with") as refusal:
        take(file, lake, settings=other)
    assert refusal.value.check == "other-pseudonyms"
    allowed = frozenset({"other-pseudonyms"})
    assert take(file, lake, settings=other, allow=allowed).accepted == 9, "as the refusal said"
