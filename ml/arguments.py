"""The verbs of `python -m ml`, their options and the help that teaches them; loads nothing heavy."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ml import argument, lake_arguments
from ml.panel_help import PANEL
from ml.plan_help import PLAN
from ml.quality_help import QUALITY

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - the type has no public name

YES, NO, USAGE, BROKEN, INTERRUPTED = 0, 1, 2, 70, 130

DESCRIPTION = """\
From shop events to forecasts, one step at a time:

  python -m ml synthesize --out events      make the events of a small shop
  python -m ml ingest --events events       take events into the lake, each once
  python -m ml stock --file stock.csv       if you know them: days without stock
  python -m ml panel                        one row per product and month
  python -m ml plan plan.csv                prices, promotions and advertising of the months to come (optional)
  python -m ml quality                      is the data as it usually is? training asks for a yes
  python -m ml train                        judge all candidates, register the best as challenger
  python -m ml models --champion 1          call version 1 the champion
  python -m ml forecast                     forecast every product with the champion
  python -m ml evaluate                     past forecasts against what was sold
  python -m ml decide-backtest              what past decisions would have earned
  python -m ml drift                        is the newest month like the months before it?
  python -m ml impact                       what past forecasts were worth in money

Upkeep of the lake, and questions to it:

  python -m ml compact                      small files become large ones
  python -m ml retain --keep NAME           remove what no kept data version needs
  python -m ml erase --customer-file FILE   make the events of one customer anonymous
  python -m ml lineage --model 3            what a model or a row of the panel was made of
  python -m ml quarantine                   which rows were refused, and why
  python -m ml served --store PLACE         what the forecast service served, by model and snapshot
  python -m ml sbom SHA256                  what a model was made of, as CycloneDX for scanners
  python -m ml sign SHA256                  vouch for a model that was made before signatures were asked for

Without any of these, on a file of your own:

  python -m ml backtest --panel sales.parquet --out forecasts.parquet
"""

EPILOG = f"""\
Every verb prints one JSON object on stdout, and logs as JSON lines on stderr. Exit codes:
  {YES}    yes: done, or the check passed
  {NO}    no: refused for a reason the JSON names ("error" and "check"), or the check did not pass
  {USAGE}    the command line was not understood
  {BROKEN}   something broke that should not; worth a retry and a report
  {INTERRUPTED}  interrupted
State lives in the folder ML_STATE (default .state); every setting is a variable ML_<FIELD> of ml/settings.py.
"""


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    made = argparse.ArgumentParser(
        prog="python -m ml",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--log-level",
        type=argument.level,
        default=os.environ.get("ML_LOG_LEVEL", "info"),
        metavar="LEVEL",
        help=f"least important log line to print, of {', '.join(argument.LEVELS)} (default: ML_LOG_LEVEL or info)",
    )
    verbs = made.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (
        _synthesize,
        _ingest,
        _stock,
        _panel,
        _plan,
        _quality,
        _fit,
        _train,
        _forecast,
        _evaluate,
        _decide_backtest,
        _backtest,
        _drift,
        _impact,
        _models,
        _bundle,
        _sbom,
        _sign,
        _migrate,
    ):
        add(verbs)
    lake_arguments.add(verbs)
    return made


def _synthesize(verbs: Verbs) -> None:
    verb = _verb(verbs, "synthesize", "make the events of a small shop, one Parquet file a month")
    verb.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    verb.add_argument("--products", type=argument.positive, default=200)
    verb.add_argument(
        "--months", type=argument.positive, default=36, help="full months before the running one"
    )
    verb.add_argument("--seed", type=int, default=7)
    verb.add_argument(
        "--end", type=argument.day, default="2026-11-20", metavar="YYYY-MM-DD", help="last day with events"
    )
    verb.add_argument(
        "--shift", type=argument.shift, metavar="FACTOR:YYYY-MM", help="multiply demand in one month"
    )


def _ingest(verbs: Verbs) -> None:
    verb = _verb(verbs, "ingest", "take events into the lake: a file or folder, or what the inbox accepted")
    verb.add_argument("--events", type=Path, metavar="PATH", help="Parquet or CSV; without it the inbox")
    _columns(verb)
    verb.add_argument(
        "--allow", action="append", default=[], metavar="CHECK", help="pass over a check of the file"
    )


def _stock(verbs: Verbs) -> None:
    verb = _verb(
        verbs, "stock", "take days without stock into the lake; the next panel estimates their demand"
    )
    verb.add_argument(
        "--file", type=Path, required=True, metavar="FILE", help="Parquet or CSV: product_id, month, days_out"
    )


def _panel(verbs: Verbs) -> None:
    verb = verbs.add_parser(
        "panel",
        help="build one row per product and complete month; only what new events changed is made again",
        description=PANEL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    step = verb.add_mutually_exclusive_group()
    step.add_argument(
        "--split", type=argument.shard, metavar="I/N", help="divide share I of N of the new files"
    )
    step.add_argument(
        "--shard", type=argument.shard, metavar="I/N", help="sum up share I of N of the buckets"
    )
    step.add_argument("--merge", action="store_true", help="write the panel from parts that are all made")
    step.add_argument(
        "--take",
        type=Path,
        metavar="FOLDER",
        help="write the panel that the Spark job left there, if it is whole",
    )
    step.add_argument(
        "--check",
        action="store_true",
        help="compare the panel with totals that DuckDB finds; 1 if they differ",
    )
    step.add_argument(
        "--fresh", action="store_true", help="forget all parts first and build from every event"
    )


def _plan(verbs: Verbs) -> None:
    verb = verbs.add_parser(
        "plan",
        help="take planned prices, promotions and advertising of products into the lake",
        description=PLAN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("file", type=Path, metavar="FILE", help="Parquet or CSV, one row per product and month")
    verb.add_argument(
        "--past", action="store_true", help="take months that are over too, as planned before they began"
    )


def _quality(verbs: Verbs) -> None:
    verb = verbs.add_parser(
        "quality",
        help="judge the data before it is learned from; 1 if training must not go on",
        description=QUALITY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "--as-of",
        type=argument.newest_or_day,
        metavar="YYYY-MM-DD",
        help="judge as at the end of this day, or `newest`: as of the newest event, for an old export (default: now)",
    )


def _fit(verbs: Verbs) -> None:
    verb = _verb(
        verbs,
        "fit",
        "fit share I of N of what `train` needs, so that N processes or pods do it side by side; `train` then only puts"
        " it together, to the same bytes as alone",
    )
    verb.add_argument("--share", type=argument.shard, metavar="I/N", default=(1, 1), help="such as 2/4")
    _until(verb, "as `train` will be told")


def _train(verbs: Verbs) -> None:
    verb = _verb(
        verbs,
        "train",
        "judge all candidates, train the best, register it as challenger; 1 if the gate says no",
    )
    _until(verb, "learn from months up to this one")
    verb.add_argument("--candidate", metavar="NAME", help="train this recipe, whatever the benchmark says")
    verb.add_argument(
        "--allow-failed-quality",
        type=argument.sentence,
        metavar="REASON",
        help="train although the quality gate failed or was not run; the reason stays with the model",
    )


def _forecast(verbs: Verbs) -> None:
    verb = _verb(verbs, "forecast", "forecast every product for the month after the panel")
    _model(verb)
    _until(verb, "forecast the month after this one")


def _evaluate(verbs: Verbs) -> None:
    _verb(
        verbs,
        "evaluate",
        "errors of past forecasts whose month is over, by model and month, and an estimate for the open one",
    )


def _decide_backtest(verbs: Verbs) -> None:
    verb = _verb(
        verbs, "decide-backtest", "profit of stock decisions in past months; 1 if another rule earned more"
    )
    verb.add_argument(
        "--forecasts", type=Path, metavar="FILE", help="Parquet or CSV with outcomes; without it a backtest"
    )
    verb.add_argument(
        "--panel",
        type=Path,
        metavar="FILE",
        help="with --forecasts: prices and past units, as for `backtest`",
    )
    verb.add_argument(
        "--candidate", metavar="NAME", help="recipe of the backtest, or `model` in FILE [that of `backtest`]"
    )
    verb.add_argument("--out", type=Path, metavar="FOLDER", help="write money.json and money.png there")


def _backtest(verbs: Verbs) -> None:
    verb = _verb(
        verbs,
        "backtest",
        "forecast the last periods of a file, each from what came before it, and write the forecasts",
    )
    source = verb.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--panel",
        type=Path,
        metavar="FILE",
        help="Parquet or CSV with series_id, period, quantity and perhaps category, price; any even steps",
    )
    source.add_argument(
        "--events",
        type=Path,
        metavar="PATH",
        help="events as for `ingest`, Parquet or CSV; months are forecast",
    )
    verb.add_argument(
        "--plan",
        type=Path,
        metavar="FILE",
        help="what was planned before each period: series_id, period and any of price, promotion, advertising",
    )
    verb.add_argument(
        "--season",
        type=argument.positive,
        metavar="N",
        help="periods after which demand repeats itself (default: a year, or a week of days); with --panel",
    )
    verb.add_argument("--origins", type=argument.positive, default=6, metavar="N", help="periods to forecast")
    verb.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="Parquet with series_id, period, point, q10, q50, q90, model, other quantiles, actual",
    )
    verb.add_argument("--all", action="store_true", help="every candidate, not only the recipe of choice")
    verb.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="write pictures, their numbers and a model card there"
    )
    _columns(verb)


def _drift(verbs: Verbs) -> None:
    verb = _verb(
        verbs, "drift", "is the newest month like the months before it? 1 if not, or if it cannot be told"
    )
    _model(verb)
    _until(verb, "judge this month instead of the newest")
    verb.add_argument(
        "--multiply-units",
        type=argument.factor,
        metavar="FACTOR",
        help="what if the month had sold FACTOR times",
    )
    verb.add_argument(
        "--report",
        nargs="?",
        const=True,
        type=Path,
        metavar="FILE",
        help="draw the inputs by Evidently as HTML, kept beside the verdict and in FILE; does not change the answer",
    )
    _served(verb, "also how the histories that callers sent compare, which does not change the answer")


def _impact(verbs: Verbs) -> None:
    verb = _verb(
        verbs,
        "impact",
        "what past forecasts were worth beside last month's units, by month and category; 1 if they cost more",
    )
    verb.add_argument("--report", type=Path, metavar="FILE", help="write pictures and tables as HTML")
    _served(verb, "also what was asked for")


def _models(verbs: Verbs) -> None:
    verb = _verb(verbs, "models", "list registered versions; with an option, move an alias first")
    for alias in ("champion", "challenger"):
        verb.add_argument(f"--{alias}", type=argument.positive, metavar="VERSION")


def _bundle(verbs: Verbs) -> None:
    verb = _verb(verbs, "bundle", "check that a stored bundle is whole and readable, and print its manifest")
    verb.add_argument("sha256")


def _sbom(verbs: Verbs) -> None:
    verb = _verb(verbs, "sbom", "print what a stored bundle was made of (CycloneDX), for scanners to read")
    verb.add_argument("sha256")


def _sign(verbs: Verbs) -> None:
    verb = _verb(
        verbs,
        "sign",
        "sign a stored bundle and its newest snapshot with ML_SIGNING_KEY_FILE, as training does by itself",
    )
    verb.add_argument(
        "sha256", help="of a model that you vouch for: made before there was a key, or by another"
    )


def _migrate(verbs: Verbs) -> None:
    verb = _verb(verbs, "migrate", "bring the schemas of the inbox and the lake to what this release needs")
    verb.add_argument("--check", action="store_true", help="only say what is missing; 1 if anything is")


def _verb(verbs: Verbs, name: str, does: str) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=does, description=does)


def _served(verb: argparse.ArgumentParser, does: str) -> None:
    verb.add_argument(
        "--served",
        type=argument.place_if_any,
        metavar="PLACE",
        help=f"{does}: folder or s3://BUCKET/PREFIX that the forecast service's pods write to; empty: none",
    )


def _columns(verb: argparse.ArgumentParser) -> None:
    """How to read a file of events."""
    verb.add_argument(
        "--map", type=argument.pair, action="append", default=[], metavar="FIELD=COLUMN", help="name a column"
    )
    verb.add_argument("--timezone", metavar="ZONE", help="of times without one, for example Europe/London")
    verb.add_argument("--currency", metavar="CODE", help="of rows without one, for example EUR")


def _until(verb: argparse.ArgumentParser, does: str) -> None:
    verb.add_argument(
        "--until", type=argument.month, metavar="YYYY-MM", help=f"{does} (default: the panel's last)"
    )


def _model(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--model", default="champion", metavar="VERSION", help="number, champion or challenger")
