"""The command that others check us by: any panel, any step, one row per series and period."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml.__main__ import main
from ml.models import CANDIDATES, RECIPE

COLUMNS = [
    *("series_id", "period", "point", "q10", "q50", "q90", "model"),
    *("q05", "q25", "q75", "q95", "q99", "actual"),
]
Run = Callable[..., tuple[int, Any, pl.DataFrame]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Writes a frame, runs the verb on it: exit code, JSON of stdout, forecasts."""

    def call(frame: pl.DataFrame, *options: str, source: str = "--panel") -> tuple[int, Any, pl.DataFrame]:
        file, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
        frame.write_parquet(file)
        code = main(["--log-level", "warning", "backtest", source, str(file), "--out", str(out), *options])
        report = json.loads(capsys.readouterr().out)
        return code, report, pl.read_parquet(out) if out.exists() else pl.DataFrame()

    return call


def panel(step: timedelta, periods: int = 20, series: int = 6, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        [
            {
                "series_id": f"s{i}",
                "period": date(2020, 1, 6) + t * step,
                "quantity": int(rng.poisson(1 + 4 * i)),
            }
            for i in range(series)
            for t in range(periods)
        ]
    )


def sane(forecasts: pl.DataFrame) -> bool:
    levels = [f"q{share:02d}" for share in (5, 10, 25, 50, 75, 90, 95, 99)]
    values = forecasts.select("point", *levels).to_numpy()
    ordered = np.all(np.diff(values[:, 1:], axis=1) >= 0)
    return bool(np.all(np.isfinite(values)) and np.all(values >= 0) and ordered)


@pytest.mark.parametrize("days", [1, 7, 28], ids=["daily", "weekly", "four-weekly"])
def test_any_step_gives_one_row_for_each_series_and_period(run: Run, days: int) -> None:
    frame = panel(timedelta(days=days))
    code, report, forecasts = run(frame, "--origins", "3")
    last = sorted(frame["period"].unique())[-3:]
    assert (code, forecasts.columns, forecasts["model"].unique().to_list()) == (0, COLUMNS, [RECIPE])
    assert sorted(forecasts.select("series_id", "period").rows()) == [
        (f"s{i}", day) for i in range(6) for day in last
    ]
    assert report["origins"] == [str(day) for day in last]
    came = forecasts.join(frame, on=["series_id", "period"])
    assert came["actual"].to_list() == came["quantity"].to_list()
    assert sane(forecasts)


def test_a_short_panel_is_tested_before_it_is_calibrated(run: Run) -> None:
    frame = panel(timedelta(days=7), periods=9)
    assert run(frame, "--origins", "6")[1]["origins"] == [
        str(day) for day in sorted(frame["period"].unique())[-6:]
    ]


def test_the_last_periods_do_not_change_the_forecasts_before_them(run: Run) -> None:
    frame = panel(timedelta(days=7))
    last = frame["period"].to_list()[-1]
    other = frame.with_columns(
        pl.when(pl.col("period") == last).then(900).otherwise(pl.col("quantity")).alias("quantity")
    )
    before, after = (run(f, "--origins", "2")[2].drop("actual") for f in (frame, other))
    assert before.equals(after)
    earlier = frame.with_columns(
        pl.when(pl.col("period") == last - timedelta(days=7))
        .then(900)
        .otherwise(pl.col("quantity"))
        .alias("quantity")
    )
    assert not before.equals(run(earlier, "--origins", "2")[2].drop("actual"))


def test_odd_series_are_forecast_or_counted(run: Run) -> None:
    frame = panel(timedelta(days=28), periods=9)
    dates = sorted(frame["period"].unique())
    odd = pl.DataFrame(
        [("young", dates[-2], 4), ("silent", dates[3], 0), ("ended", dates[0], 5), ("ended", dates[4], 5)]
        + [("constant", day, 7) for day in dates]
        + [("giant", day, 10**9 if day == dates[5] else 1) for day in dates]
        + [("returned", day, -1 if day == dates[4] else 2) for day in dates],
        schema=frame.schema,
        orient="row",
    )
    code, report, forecasts = run(pl.concat([frame, odd]), "--season", "13", "--origins", "2")
    assert code == 0
    found = dict(forecasts["series_id"].value_counts().iter_rows())
    assert {name: found.get(name, 0) for name in odd["series_id"].unique()} == {
        **dict.fromkeys(("constant", "giant", "returned"), 2),
        "young": 1,
        "silent": 0,
        "ended": 0,
    }
    assert sane(forecasts)
    assert forecasts.filter(pl.col("actual").is_null())["series_id"].to_list() == ["young"], "it ended"
    assert (report["counts"]["series_without_sales"], report["counts"]["series_that_ended"]) == (1, 2)
    assert report["counts"]["negative_quantities"] == 1
    assert report["season"] == 13


def test_all_candidates_are_written_when_asked_for(run: Run) -> None:
    code, report, forecasts = run(panel(timedelta(days=7), periods=8), "--all", "--origins", "1")
    assert code == 0
    assert set(forecasts["model"]) == set(CANDIDATES) == {row["candidate"] for row in report["benchmark"]}


def test_too_short_a_panel_is_refused_in_one_sentence(run: Run) -> None:
    code, report, _ = run(panel(timedelta(days=7), periods=2))
    assert (code, report["check"]) == (1, "not-enough-history")


def test_a_file_without_quantities_is_refused_in_one_sentence(run: Run) -> None:
    code, report, _ = run(panel(timedelta(days=7)).drop("quantity"))
    assert (code, report["check"]) == (1, "missing-columns")


def test_events_are_forecast_by_month(run: Run) -> None:
    rng = np.random.default_rng(1)
    events = pl.DataFrame(
        {
            "event_time": datetime(2025, 1 + month, 1 + day, 9, tzinfo=UTC),
            "product_id": f"p{i}",
            "price": 2.0,
            "quantity": int(rng.integers(1, 5)),
            "order_id": f"o{month}-{day}-{i}",
        }
        for month in range(10)
        for i in range(5)
        for day in range(0, 28, 3)
    )
    code, report, forecasts = run(events, "--origins", "2", source="--events")
    assert code == 0
    assert report["origins"] == ["2025-08-01", "2025-09-01"], "October is not over on the 28th"
    assert forecasts.height == 10
    assert sane(forecasts)
