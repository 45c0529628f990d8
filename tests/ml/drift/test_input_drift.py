"""Input drift: quiet where only seasons, feasts and memory move a frame, loud where something else does."""

import re
import subprocess
import sys
from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control, ks_2samp

from ml.drift.batches import batches
from ml.drift.input_drift import FEWEST_ROWS, discoveries, judge_frame
from tests.ml.drift.seasonal_frames import World, frame, newest, with_more_missing, with_new_category
from tests.repository.imports import ROOT

SMALL = World("week", months=36, rows=60, columns=8)
MEMORIES, MONTHS = (0.0, 0.3, 0.7), (24, 36, 48, 60)


def judged(made: pl.DataFrame, every: str = "week") -> tuple[str, set[str]]:
    found = judge_frame(made, batch="batch", every=every)  # type: ignore[arg-type]
    return found.answer, set(found.columns)


def ks_alarms(made: pl.DataFrame) -> bool:
    """The usual recipe: any column whose newest batch differs from all before it at the 5 % level."""
    last = newest(made)
    columns = [name for name in made.columns if name.startswith("x")]
    return any(
        ks_2samp(made.filter(last)[name], made.filter(~last)[name], method="asymp").pvalue < 0.05
        for name in columns
    )


def test_seasons_feasts_and_memory_are_no_drift_here_but_are_to_a_plain_test() -> None:
    frames = [frame(World("week", 36, MEMORIES[seed % 3], rows=60, columns=8), seed) for seed in range(18)]
    assert sum(judged(made)[0] == "drift" for made in frames) <= 1
    assert sum(map(ks_alarms, frames)) >= 16


def test_a_shift_is_found_within_two_batches_and_its_columns_are_named() -> None:
    found = [judged(frame(SMALL, seed, shift=1.2, drifted=2, batches=2)) for seed in range(8)]
    assert sum(answer == "drift" for answer, _ in found) >= 7
    named = [columns for answer, columns in found if answer == "drift"]
    right = sum(len(columns & {"x0", "x1"}) for columns in named)
    assert right >= 0.9 * sum(map(len, named))
    assert right >= 0.8 * 2 * len(named)


def test_a_new_category_and_missing_rows_are_found_in_one_batch() -> None:
    for seed in range(4):
        made = frame(SMALL, seed)
        assert judged(with_new_category(made, 0.08)) == ("drift", {"kind"})
        assert "gaps" in judged(with_more_missing(made, 0.15))[1]


def test_a_shift_that_came_every_year_at_this_time_is_season() -> None:
    """The same two weeks of each year: without the year before, a negative control, it is drift."""
    world = World("week", 60, 0.0, rows=60, columns=4)
    made = frame(world, 3)
    starts = made["batch"].unique().sort()
    same = [starts[len(starts) - 1 - back] for back in (0, 52, 104, 156, 208)]
    yearly = made.with_columns((pl.col("x0") + 2.0 * pl.col("batch").is_in(same)).alias("x0"))
    once = made.with_columns((pl.col("x0") + 2.0 * (pl.col("batch") == same[0])).alias("x0"))
    assert judged(yearly)[0] == "no drift"
    assert judged(once) == ("drift", {"x0"})


def test_too_little_is_said_to_be_too_little() -> None:
    made = frame(SMALL, 0)
    starts = made["batch"].unique().sort()
    short = judge_frame(made.filter(pl.col("batch") > starts[-20]), batch="batch", every="week")
    assert (short.answer, short.reason) == ("not enough data", "18 earlier batches, 26 are needed")
    few = pl.concat([made.filter(~newest(made)), made.filter(newest(made)).head(FEWEST_ROWS - 1)])
    assert "has 29 rows" in judge_frame(few, batch="batch", every="week").reason
    nothing = judge_frame(made.clear(), batch="batch", every="week")
    assert (nothing.answer, nothing.reason) == ("not enough data", "there are no rows")


def test_an_occasion_that_the_reference_does_not_have_cannot_be_judged() -> None:
    """Eleven months up to a feast: what it does to the columns was never seen."""
    days = np.arange(np.datetime64("2024-04-22"), np.datetime64("2025-03-31"), 7)
    rng = np.random.default_rng(0)
    made = pl.DataFrame({"batch": np.repeat(days, 40), "x": rng.normal(size=40 * len(days))})
    found = judge_frame(made.with_columns(pl.col("batch").cast(pl.Date)), batch="batch", every="week")
    assert found.answer == "not enough data"
    assert "ramadan feast" in found.reason


def test_statistics_are_those_of_each_batch() -> None:
    made = frame(World("week", 24, rows=30, columns=1), 1)
    of = batches(made, batch="batch", every="week")
    by_kind = {(each.column, each.kind, each.label): each.values for each in of.statistics}
    one = made.filter(pl.col("batch") == date.fromisoformat(str(of.starts[5])))
    gaps = one["gaps"].to_numpy()
    assert by_kind["gaps", "missing", ""][5] == pytest.approx(np.isnan(gaps).mean())
    assert by_kind["kind", "category share", "a"][5] == pytest.approx((one["kind"] == "a").mean())
    x = made.filter(~newest(made))["x0"].to_numpy()
    clipped = np.clip(one["x0"].to_numpy(), *np.quantile(x, [0.005, 0.995]))
    assert by_kind["x0", "spread", ""][5] == pytest.approx(np.log(clipped.std(ddof=1)), abs=0.02)
    assert np.ptp(of.rows) == 0


def test_discoveries_are_those_of_benjamini_and_yekutieli() -> None:
    rng = np.random.default_rng(2)
    p_values = np.concatenate([rng.random(40), rng.random(10) * 1e-3]).tolist()
    expected = (false_discovery_control(p_values, method="by") <= 0.1).tolist()
    assert discoveries(p_values, 0.1) == expected
    assert any(expected)
    assert discoveries([], 0.1) == []


@pytest.mark.soak
@pytest.mark.parametrize("every", ["week", "day"])
def test_false_alarms_of_two_hundred_frames_stay_below_the_bar(every: str) -> None:
    """The whole campaign is benchmarks/drift.py; five in a hundred is the bar, one in a hundred is promised."""
    answers = []
    for seed in range(204):
        world = World(every, MONTHS[seed // 3 % 4], MEMORIES[seed % 3], rows=100)  # type: ignore[arg-type]
        answers.append(judged(frame(world, seed), every)[0])
    assert answers.count("drift") <= 0.05 * (len(answers) - answers.count("not enough data"))
    assert answers.count("not enough data") <= 10


@pytest.mark.soak
def test_a_million_rows_take_ten_seconds_and_a_gibibyte_at_most() -> None:
    """In a process of its own, whose peak is that of the frame and the judgement; seconds of processor."""
    command = [sys.executable, "-m", "benchmarks.drift", "--large", "ours"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    found = re.fullmatch(r"[\d.]+ \(([\d.]+) of processor\) \| ([\d,]+) MiB, .*\n", said)
    assert found is not None, said
    assert float(found[1]) <= 10
    assert int(found[2].replace(",", "")) <= 1024
