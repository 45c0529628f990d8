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
from tests.ml.small_plan import planned_shop

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


def test_pictures_and_card_are_written_where_asked_and_leave_the_forecasts_alone(
    run: Run, tmp_path: Path
) -> None:
    frame = panel(timedelta(days=7))
    plain = run(frame, "--origins", "2")[2]
    code, report, forecasts = run(frame, "--origins", "2", "--plots", str(tmp_path / "plots"))
    assert (code, forecasts.equals(plain)) == (0, True)
    assert {row["candidate"] for row in report["benchmark"]} == {RECIPE, "naive", "ma3"}
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        *("backtest.json", "calibration.png", "errors.png", "examples.png", "model_card.md")
    ]
    card = (tmp_path / "plots" / "model_card.md").read_text()
    assert card.startswith(f"# Model card: {RECIPE} on in.parquet")
    assert str(tmp_path) not in card


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


def plan(frame: pl.DataFrame, folder: Path, seed: int = 0) -> Path:
    """A plan of prices and deals for every row of a panel."""
    rng, file = np.random.default_rng(seed), folder / "plan.parquet"
    prices, deals = rng.uniform(1, 3, frame.height), rng.integers(0, 2, frame.height)
    frame.select("series_id", "period").with_columns(
        pl.Series("price", prices), pl.Series("deal", deals)
    ).write_parquet(file)
    return file


def test_later_plans_do_not_change_an_origin_and_its_own_does(run: Run, tmp_path: Path) -> None:
    """The last periods' plans change: forecasts of the others keep their bits."""
    frame = panel(timedelta(days=7), series=6, periods=14)
    last = sorted(frame["period"].unique())[-3:]
    file = plan(frame, tmp_path)
    before = run(frame, "--origins", "3", "--plan", str(file))[2]
    changed = pl.read_parquet(file).with_columns(
        pl.when(pl.col("period") >= last[1]).then(pl.col("price") * 0.3).otherwise("price").alias("price")
    )
    changed.write_parquet(file)
    after = run(frame, "--origins", "3", "--plan", str(file))[2]
    for period, same in zip(last, (True, False, False), strict=True):
        of_period = pl.col("period") == period
        assert before.filter(of_period).equals(after.filter(of_period)) == same


def test_a_plan_that_explains_demand_makes_better_forecasts_that_still_cover(
    run: Run, tmp_path: Path
) -> None:
    shop, _ = planned_shop(products=80, months=16)
    days = [day.astype("datetime64[D]").item() for day in shop.months]
    frame = pl.DataFrame(
        {
            "series_id": f"s{i}",
            "period": day,
            "quantity": shop.units[i, t],
            "price": shop.price_cents[i, t] / 100,
        }
        for i in range(shop.n)
        for t, day in enumerate(days)
    )
    file = tmp_path / "plan.parquet"
    deals = shop.plan["promotion"][:, :-1].ravel()
    frame.select("series_id", "period", "price").with_columns(pl.Series("deal", deals)).write_parquet(file)
    blind, seeing = (run(frame, "--origins", "1", *more)[1] for more in ((), ("--plan", str(file))))
    assert blind["plan"] is None
    assert seeing["plan"]["columns"]["promotion"] == "deal"
    assert seeing["plan"]["counts"]["rows_used"] == frame.height
    before, after = blind["benchmark"][0], seeing["benchmark"][0]
    assert after["pinball"] < 0.75 * before["pinball"]
    assert after["calibration_gap"] <= 0.1, "two and a half standard errors of 80 forecasts"


def test_a_plan_for_part_of_the_panel_is_used_and_one_for_nothing_is_refused(
    run: Run, tmp_path: Path
) -> None:
    frame = panel(timedelta(days=7))
    file = plan(frame, tmp_path)
    part = pl.read_parquet(file).filter(pl.col("series_id").is_in(["s1", "s2"]))
    part.filter(pl.col("period") > min(frame["period"]) + timedelta(days=70)).write_parquet(file)
    code, report, forecasts = run(frame, "--origins", "2", "--plan", str(file))
    assert (code, sane(forecasts), forecasts.height) == (0, True, 12)
    assert report["plan"]["counts"]["rows_used"] == 18
    part.with_columns(series_id=pl.lit("other ") + pl.col("series_id")).write_parquet(file)
    code, report, _ = run(frame, "--plan", str(file))
    assert (code, report["check"]) == (1, "plan-without-match")


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
