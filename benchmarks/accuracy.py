"""Forecasts beside what a user would pick instead: `python -m benchmarks.accuracy --data FOLDER` (see `--help`).

`FOLDER` holds panels as `folder/file.parquet`; events beside a panel and planned prices in it are used too. Ours are
what `python -m ml backtest` writes; the others are libraries as they ship, with their own intervals and (`+cf`) with
our calibration from their earlier forecasts. Everything is scored on the same rows, printed and written to a page with
plots. What is done is kept in `--cache` by what it was made from, so a run that was cut goes on where it stood.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path

from benchmarks.accuracy_page import table, write_page
from benchmarks.accuracy_run import Run
from benchmarks.m3 import theta_smape
from benchmarks.retail_sets import made_up, panels
from benchmarks.shelf import FAMILIES
from ml.terminal import progress_bar

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))


def main() -> None:
    """Measure every set, print a table of each, and write the page."""
    options = _options()
    data = options.data or SHARED
    found = panels(data) if options.data or data.exists() else made_up(options.cache / "made-up")
    names = [name for name in found if not options.sets or any(part in name for part in options.sets)]
    if not names:
        sys.exit(f"no panel of {data} is asked for by --sets {options.sets}; there are {sorted(found)}")
    run = Run(options.cache, options.peers, options.origins, options.max_series)
    measured = []
    with progress_bar() as progress:
        for done, name in enumerate(names):
            measured.append(run.measure(name, found[name], lambda part: progress(done, len(names), part)))  # noqa: B023
            print(f"\n{table(measured[-1])}", flush=True)
    anchor = data / "m3_monthly" / "monthly.parquet"
    smape = theta_smape(anchor) if anchor.exists() else None
    write_page(measured, smape, options.page, _command(options))
    print(json.dumps({"sets": len(measured), "page": str(options.page), "m3_theta_smape": smape}))


def _command(options: argparse.Namespace) -> str:
    """What was asked for, without the folders of this machine."""
    told = f"python -m benchmarks.accuracy --data FOLDER --max-series {options.max_series}".split()
    told += ["--origins", str(options.origins)]
    told += ["--sets", *options.sets] if options.sets else []
    told += ["--peers", *options.peers] if options.peers != list(FAMILIES) else []
    return shlex.join(told)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help=f"folder of panels [{SHARED}, or made-up ones where that is not]"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path(".accuracy"), help="what was measured before [%(default)s]"
    )
    parser.add_argument("--sets", nargs="*", default=[], help="only sets whose name has one of these in it")
    parser.add_argument(
        "--peers", nargs="*", default=list(FAMILIES), choices=list(FAMILIES), help="families [all]"
    )
    parser.add_argument("--origins", type=int, default=6, help="last periods that are forecast [%(default)s]")
    parser.add_argument(
        "--max-series", type=int, default=1500, help="series of a set; 0 is all [%(default)s]"
    )
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "accuracy.md", help="[%(default)s]")
    return parser.parse_args()


if __name__ == "__main__":
    main()
