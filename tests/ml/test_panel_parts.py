"""The panel made part by part is the panel made in one go, whatever came when; and only what changed is made again."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from time import sleep
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ml.__main__ import main
from ml.columns import EVENT_SCHEMA
from ml.errors import PartsMissing
from ml.lake import Lake
from ml.months import shop_month
from ml.outliers import learned_from, set_aside
from ml.panel import build_panel, merge_panel, parts_of
from ml.panel_frame import condensed, panel_of_condensed, products_without_row
from ml.panel_parts import PORTION, WHOLE, PanelParts, Shard, buckets_for, write_part
from ml.panel_pieces import write_pieces
from tests.ml.panel_sql import by_hand
from tests.ml.small_shop import NOW, SETTINGS, good_rows, row, take, write

ZONE = "Europe/Istanbul"
LAST = date(2026, 4, 1)
START = datetime(2025, 12, 31, 20, tzinfo=UTC)

event_rows = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(["purchase", "purchase", "purchase", "return", "view", "cart"]),
        "occurred_at": st.integers(0, 150 * 24).map(lambda hours: START + timedelta(hours=hours)),
        "product_id": st.sampled_from(["A", "B", "C", "D"]),
        "category": st.sampled_from(["bags", "garden", "unknown"]),
        "unit_price_cents": st.integers(1, 300),
        "quantity": st.sampled_from([1, 1, 1, 2, 3, 500]),
        "order_id": st.sampled_from([None, "o-1", "o-2"]),
        "customer_id": st.sampled_from([None, "c-1", "c-2"]),
        "campaign": st.sampled_from([None, "summer"]),
    }
)
usual_rows = [
    {"event_type": "purchase", "occurred_at": START + timedelta(days=day), "product_id": "A", "quantity": 1}
    for day in range(60)
]
"""With these before it, a purchase of 500 is a giant."""


def frame_of(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    usual = {"unit_price_cents": 100, "currency": "TRY", "category": "bags"}
    filled = [usual | row | {"event_id": f"e-{place}"} for place, row in enumerate(rows)]
    return pl.DataFrame(filled, schema=EVENT_SCHEMA)


def in_one_go(events: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """Panel, what is set aside and products without a row, from all events at once."""
    rows = condensed(events.lazy().with_columns(shop_month(pl.col("occurred_at"), ZONE).alias("month")))
    aside = set_aside(rows)
    panel = panel_of_condensed(learned_from(rows, aside), LAST, ZONE)
    return panel, aside, products_without_row(rows, aside, LAST)


def part_by_part(parts: PanelParts) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    parts.split()
    parts.make(LAST)
    made = parts.merged(LAST)
    panel, aside = made.panel.sort("product_id", "month"), made.aside.sort("event_id")
    return panel.collect(), aside.collect(), dict(made.without)


def assert_equal(
    found: tuple[pl.DataFrame, pl.DataFrame, dict[str, int]],
    expected: tuple[pl.DataFrame, pl.DataFrame, dict[str, int]],
) -> None:
    for one, other in zip(found[:2], expected[:2], strict=True):
        assert_frame_equal(one, other, check_exact=True)
    assert found[2] == expected[2]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(event_rows, max_size=12), min_size=1, max_size=4),
    st.sampled_from([1, 2, 8]),
    st.sampled_from([3, PORTION]),
    st.booleans(),
    st.booleans(),
)
def test_events_that_come_in_any_pieces_give_the_panel_of_all(
    pieces: list[list[dict[str, Any]]], buckets: int, portion: int, usual: bool, repeats: bool
) -> None:
    """Late events, returns of earlier months, giants that become usual, other categories, purchases taken back."""
    rows = [*(usual_rows if usual else []), *(row for piece in pieces for row in piece)]
    events, cuts = frame_of(rows), [0]
    for piece in pieces:
        cuts.append(cuts[-1] + len(piece))
    first = events.height - cuts[-1]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr("ml.panel_parts.PORTION", portion)
        files: dict[str, Path] = {}
        for number, end in enumerate(cuts):
            start = 0 if number == 0 else first + cuts[number - 1]
            files[f"{number}"] = Path(folder) / f"{number}.parquet"
            events[start : first + end].write_parquet(files[f"{number}"])
            if repeats:
                files["again"] = Path(folder) / f"again-{number}.parquet"
                events[: first + end : 2].write_parquet(files["again"])
            parts = PanelParts(Path(folder) / "parts", dict(files), buckets, ZONE, repeats=repeats)
            found = part_by_part(parts)
            so_far = events[: first + end]
            assert_equal(found, in_one_go(so_far))
            panel, aside = by_hand(so_far, ZONE, LAST)
            assert_frame_equal(found[0], panel, check_exact=True)
            assert_frame_equal(found[1], aside)


def whole_shop(folder: Path) -> dict[str, Path]:
    """Six files of 40 products each, one a month."""
    files = {}
    for month in range(1, 7):
        rows = [
            {
                "event_type": kind,
                "occurred_at": datetime(2025, month + 3, 5 + product % 20, tzinfo=UTC),
                "product_id": f"P{product}",
                "quantity": 1 + product % 3,
                "customer_id": f"c-{product % 7}",
            }
            for product in range(40)
            for kind in ("purchase", "view", "view")
        ]
        files[f"{month}"] = folder / f"{month}.parquet"
        frame_of(rows).with_columns(
            pl.format("{}-{}", pl.lit(month), "event_id").alias("event_id")
        ).write_parquet(files[f"{month}"])
    return files


def test_only_what_a_late_event_changes_is_made_again(tmp_path: Path) -> None:
    files = whole_shop(tmp_path)
    parts = PanelParts(tmp_path / "parts", files, 8, ZONE)
    assert (parts.split(), parts.make(LAST)) == (6, 8)
    again = PanelParts(tmp_path / "parts", files, 8, ZONE)
    assert (again.split(), again.make(LAST)) == (0, 0)
    late = frame_of([{"event_type": "purchase", "occurred_at": START, "product_id": "P3", "quantity": 9}])
    late.with_columns(event_id=pl.lit("late")).write_parquet(tmp_path / "late.parquet")
    after = PanelParts(tmp_path / "parts", {**files, "late": tmp_path / "late.parquet"}, 8, ZONE)
    assert (after.split(), after.make(LAST)) == (1, 1)
    gone = PanelParts(
        tmp_path / "parts", {name: file for name, file in files.items() if name != "2"}, 8, ZONE
    )
    assert (gone.split(), gone.make(LAST)) == (0, 8)
    assert (after.make(date(2026, 5, 1)), after.make(LAST)) == (8, 0)


def test_large_files_of_a_month_are_split_together_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = whole_shop(tmp_path)
    expected = part_by_part(PanelParts(tmp_path / "alone", files, 8, ZONE))
    monkeypatch.setattr("ml.panel_files.ALONE_BYTES", 0)
    named = {f"{int(name) % 2}/{name}": file for name, file in files.items()}
    parts = PanelParts(tmp_path / "together", named, 8, ZONE)
    assert parts.split() == 2
    assert_equal(part_by_part(parts), expected)


@pytest.mark.parametrize("change", [{"zone": "UTC"}, {"buckets": 4}, {"repeats": True}])
def test_what_decides_a_part_is_in_its_name(tmp_path: Path, change: dict[str, Any]) -> None:
    usual: dict[str, Any] = {
        "folder": tmp_path / "parts",
        "files": whole_shop(tmp_path),
        "buckets": 8,
        "zone": ZONE,
    }
    part_by_part(PanelParts(**usual))
    assert PanelParts(**usual | change).split() == 6


def test_trusted_events_make_the_buckets_anew(tmp_path: Path) -> None:
    usual: dict[str, Any] = {
        "folder": tmp_path / "parts",
        "files": whole_shop(tmp_path),
        "buckets": 8,
        "zone": ZONE,
    }
    part_by_part(PanelParts(**usual))
    trusting = PanelParts(**usual, trusted=("e-1",))
    assert (trusting.split(), trusting.make(LAST)) == (0, 8)


@pytest.mark.parametrize("shards", [1, 3, 11])
def test_shares_put_together_are_the_whole(tmp_path: Path, shards: int) -> None:
    files = whole_shop(tmp_path)
    alone = part_by_part(PanelParts(tmp_path / "alone", files, 8, ZONE))
    shared = [PanelParts(tmp_path / "shared", files, 8, ZONE) for _ in range(shards)]
    assert sum(parts.split(Shard(place, shards)) for place, parts in enumerate(shared, 1)) == 6
    assert sum(parts.make(LAST, Shard(place, shards)) for place, parts in enumerate(shared, 1)) == 8
    assert_equal(part_by_part(PanelParts(tmp_path / "shared", files, 8, ZONE)), alone)


def test_a_share_that_is_missing_is_said(tmp_path: Path) -> None:
    files = whole_shop(tmp_path)
    parts = PanelParts(tmp_path / "parts", files, 8, ZONE)
    parts.split(Shard(1, 2))
    with pytest.raises(PartsMissing, match="--split I/N"):
        parts.make(LAST)
    parts.split(Shard(2, 2))
    parts.make(LAST, Shard(1, 2))
    with pytest.raises(
        PartsMissing, match=r"4 of 8 buckets of the panel up to 2026-04 .* the first is 1; .*--shard"
    ):
        parts.merged(LAST)


@pytest.mark.parametrize("portion", [7, PORTION])
def test_events_that_are_repeated_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    monkeypatch.setattr("ml.panel_parts.PORTION", portion)
    files = whole_shop(tmp_path)
    expected = part_by_part(PanelParts(tmp_path / "once", files, 8, ZONE))
    twice = pl.read_parquet(files["2"]).sample(fraction=0.5, seed=1)
    pl.concat([twice, pl.read_parquet(files["3"]), twice]).write_parquet(files["3"])
    assert_equal(part_by_part(PanelParts(tmp_path / "twice", files, 8, ZONE, repeats=True)), expected)
    with pytest.raises(AssertionError):
        assert_equal(part_by_part(PanelParts(tmp_path / "counted", files, 8, ZONE)), expected)


def test_a_lake_that_grows_has_its_parts_made_anew_seldom() -> None:
    sizes = (0, 1, 250_000, 250_001, 8_000_000, 30_000_000, 50_000_000, 57_600_000, 100_000_000)
    assert [buckets_for(events) for events in sizes] == [1, 1, 1, 2, 32, 80, 128, 160, 256]
    found = {buckets_for(millions * 1_000_000) for millions in range(32, 1000)}
    assert len(found) < 25


def test_a_bucket_is_of_about_the_same_size_however_large_the_lake() -> None:
    """The memory of a panel is that of its largest bucket."""
    events = [millions * 1_000_000 for millions in range(30, 1000)]
    sizes = [each / buckets_for(each) for each in events]
    assert max(sizes) <= 400_000
    assert max(sizes) / min(sizes) < 1.5
    measured = [sizes[millions - 30] for millions in (30, 50, 60, 100, 300)]
    assert max(measured) / min(measured) < 1.1


def test_there_are_no_more_files_for_more_buckets(tmp_path: Path) -> None:
    """Listing and opening files groups times buckets took more memory and time than summing up."""
    files = whole_shop(tmp_path)
    for buckets in (4, 32):
        parts = PanelParts(tmp_path / f"{buckets}", files, buckets, ZONE)
        parts.split()
        assert len([*(tmp_path / f"{buckets}").glob("*/split/*/*")]) == 2 * len(files)


@pytest.mark.parametrize(("room", "most"), [(1, 1), (10**6, 2)])
def test_large_buckets_are_summed_up_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, most: int
) -> None:
    monkeypatch.setattr("ml.panel_parts.ROWS_AT_ONCE", room)
    lock, at_once, seen = Lock(), 0, 0

    def slowly(*arguments: Any) -> tuple[int, int]:
        nonlocal at_once, seen
        with lock:
            at_once += 1
            seen = max(seen, at_once)
        sleep(0.02)
        try:
            return write_part(*arguments)
        finally:
            with lock:
                at_once -= 1

    monkeypatch.setattr("ml.panel_parts.write_part", slowly)
    part_by_part(PanelParts(tmp_path / "parts", whole_shop(tmp_path), 8, ZONE))
    assert seen == most


def test_a_bucket_is_not_larger_for_more_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Views that were counted file by file are counted anew before anything is summed up."""
    heights = []

    def noted(rows: pl.LazyFrame, *others: Any) -> tuple[int, int]:
        heights.append(rows.collect().height)
        return write_part(rows, *others)

    monkeypatch.setattr("ml.panel_parts.write_part", noted)
    rows = frame_of([{"event_type": "view", "occurred_at": START, "product_id": "A"}] * 12)
    files = {f"{place}": tmp_path / f"{place}.parquet" for place in range(12)}
    for place, file in enumerate(files.values()):
        rows[place : place + 1].write_parquet(file)
    part_by_part(PanelParts(tmp_path / "parts", files, 1, ZONE))
    assert heights == [1]


@pytest.mark.parametrize("repeats", [True, False])
def test_no_more_is_divided_at_a_time_for_larger_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeats: bool
) -> None:
    heights = []

    def noted(portions: Iterable[pl.DataFrame], *others: Any) -> None:
        def each() -> Iterator[pl.DataFrame]:
            for rows in portions:
                heights.append(rows.height)
                yield rows

        write_pieces(each(), *others)

    monkeypatch.setattr("ml.panel_parts.write_pieces", noted)
    monkeypatch.setattr("ml.panel_parts.PORTION", 50)
    files = whole_shop(tmp_path)
    PanelParts(tmp_path / "parts", files, 8, ZONE, repeats=repeats).split()
    assert len(heights) == 3 * len(files)
    assert max(heights) <= 50


def test_what_a_panel_is_not_made_of_is_removed(tmp_path: Path) -> None:
    files = whole_shop(tmp_path)
    part_by_part(PanelParts(tmp_path / "parts", files, 4, ZONE))
    del files["1"]
    parts = PanelParts(tmp_path / "parts", files, 8, ZONE)
    part_by_part(parts)
    parts.tidy(LAST)
    assert len([*(tmp_path / "parts").glob("*/split/*")]) == 5
    assert len([*(tmp_path / "parts").glob("*/made/*")]) == 8
    assert (parts.split(), parts.make(LAST)) == (0, 0)


def test_a_split_that_died_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = whole_shop(tmp_path)
    parts = PanelParts(tmp_path / "parts", files, 8, ZONE)

    def no_space(*_: object, **__: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(pl.DataFrame, "write_ipc_stream", no_space)
        with pytest.raises(OSError, match="no space left"):
            parts.split()
    assert [*(tmp_path / "parts").glob("*/split/*")] == []
    assert parts.split(WHOLE) == 6


def test_the_lakes_panel_is_the_same_in_steps_and_in_shares(tmp_path: Path) -> None:
    """As commands would: an import, the panel, late rows with a changed category, the panel again."""
    lake, fresh = Lake(tmp_path / "lake"), Lake(tmp_path / "fresh")
    rows = [*good_rows(), row(event_time=datetime(2026, 9, 2, tzinfo=UTC))]
    late = [row(product_id="B", category="late", event_time=datetime(2026, 7, 3, tzinfo=UTC), order_id="o-9")]
    take(write(tmp_path / "a.parquet", rows), lake)
    build_panel(lake, SETTINGS, NOW)
    take(write(tmp_path / "b.parquet", late), lake)
    in_steps = build_panel(lake, SETTINGS, NOW)
    take(write(tmp_path / "c.parquet", [*rows, *late]), fresh)
    for place in (1, 2):
        parts_of(fresh, SETTINGS).split(Shard(place, 2))
    parts_of(fresh, SETTINGS).make(date(2026, 8, 1))
    assert merge_panel(fresh, SETTINGS, NOW) == in_steps
    one, other = (each.read("panel").sort("product_id", "month").collect() for each in (lake, fresh))
    assert_frame_equal(one, other, check_exact=True)


def test_the_commands_for_shares_say_what_they_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = Lake(tmp_path / "lake")
    take(
        write(tmp_path / "a.parquet", [*good_rows(), row(event_time=datetime(2026, 9, 2, tzinfo=UTC))]), lake
    )

    monkeypatch.setenv("ML_STATE", str(tmp_path))
    monkeypatch.setenv("ML_SHOP_ZONE", "UTC")

    def panel(*options: str) -> tuple[int, dict[str, Any]]:
        code = main(["--log-level", "error", "panel", *options])
        return code, json.loads(capsys.readouterr().out)

    code, refused = panel("--merge")
    assert (code, refused["check"]) == (1, "parts-missing")
    assert panel("--split", "1/1")[1] == {"split": 4, "files": 4, "share": [1, 1]}
    assert panel("--shard", "1/1")[1]["made"] == 1
    assert panel("--merge")[1]["rows"] == 9
    assert panel("--check") == (0, {"rows": 9, "events_version": 0, "differing": 0, "first": []})
    assert panel("--fresh")[1]["rows"] == 9
    lake.overwrite("panel", lake.read("panel").collect().with_columns(pl.col("units") + 1))
    assert panel("--check")[0] == 1
    with pytest.raises(SystemExit):
        panel("--shard", "3/2")
