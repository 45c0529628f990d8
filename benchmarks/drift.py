"""How often drift is found with none and with some: `python -m benchmarks.drift` prints the tables of docs/drift.md.

Shops without drift have seasons, moving feasts and memory (tests/ml/drift); then drift is put into them. Evidently's
default preset and Kolmogorov and Smirnov's test by column judge the same frames beside it.
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Literal

import polars as pl
from scipy.stats import binom

from benchmarks import drift_real_weeks
from benchmarks.drift_counts import Count, Named, head, run_length
from benchmarks.drift_rivals import LARGE_COLUMNS, LARGE_ROWS, evidently_share, ks_share, large
from ml.drift.input_drift import ALPHA, InputDrift, judge_frame
from ml.drift.residual_drift import Labelled, judge_residuals, labelled
from tests.ml.drift.labelled_batches import TOO_NARROW, Errors, outcomes
from tests.ml.drift.seasonal_frames import World, frame, with_more_missing, with_new_category
from tests.ml.drift.simulated_years import WEEKS, alarms, until_first, verdicts

Every = Literal["day", "week", "month"]

EVERY: tuple[Every, ...] = ("week", "day", "month")
MEMORIES, MONTHS = (0.0, 0.3, 0.7), (24, 36, 48, 60)
ROWS, MANY_ROWS = 200, 400
SHIFTED = 3
EVIDENTLY_RUNS = 4
LABELLED_WEEKS = 52
EPISODES = (30, 70)
PARTS = ("alarms", "real", "power", "shares", "together", "residuals", "years", "episodes", "speed")


def main() -> None:
    """Print one table for each question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=408, help="frames without drift, spread over worlds [%(default)s]"
    )
    parser.add_argument("--years", type=int, default=20, help="simulated pairs of years [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of the first pair of years [%(default)s]")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument("--every", nargs="*", choices=EVERY, default=EVERY, help="batches of the alarms")
    parser.add_argument("--large", choices=("ours", "evidently"), help=argparse.SUPPRESS)
    options, started = parser.parse_args(), time.process_time()
    if options.large:
        print(large(options.large))
        return
    parts: dict[str, Callable[[], None]] = {
        "alarms": lambda: _alarms(options.runs, options.every),
        "real": lambda: drift_real_weeks.table(options.runs),
        "power": lambda: _power(options.runs // 8),
        "shares": lambda: _shares(options.runs // 8),
        "together": lambda: _together(options.runs // 8),
        "residuals": lambda: _residuals(options.runs // 8),
        "years": lambda: _years(range(options.seed, options.seed + options.years)),
        "episodes": lambda: _episodes(range(options.seed, options.seed + options.years)),
        "speed": _speed,
    }
    for name in options.only:
        parts[name]()
    print(f"\n{time.process_time() - started:.0f} s of processor")


def _worlds(every: Every, count: int, rows: int = ROWS) -> Iterator[tuple[int, World]]:
    for seed in range(count):
        memory, months = MEMORIES[seed % len(MEMORIES)], MONTHS[seed // len(MEMORIES) % len(MONTHS)]
        yield seed, World(every, months, memory, rows=rows)


def _alarms(runs: int, batches: Sequence[Every]) -> None:
    head("frames without drift", ["this", "KS < .05 in any column", "KS < .05 in half of them", "Evidently"])
    for every in batches:
        count = runs // 4 if every == "month" else runs // 2
        for memory in MEMORIES:
            ours, any_column, half, evidently = (Count() for _ in range(4))
            for seed, world in _worlds(every, count):
                if world.memory != memory:
                    continue
                made = frame(world, seed)
                answer = _judged(made, world).answer
                ours.answers[answer] += 1
                if answer == "not enough data":
                    continue
                share = ks_share(made)
                any_column.answers["drift" if share > 0 else "no drift"] += 1
                half.answers["drift" if share >= 0.5 else "no drift"] += 1  # noqa: PLR2004 - Evidently's default
                if evidently.judged < EVIDENTLY_RUNS:
                    evidently.answers["drift" if evidently_share(made) >= 0.5 else "no drift"] += 1  # noqa: PLR2004
            cells = [each.share() for each in (ours, any_column, half, evidently)]
            print(f"| {every}, AR {memory} | {' | '.join(cells)} |", flush=True)


def _power(runs: int) -> None:
    columns = ["one batch", "within two", "precision at two", "recall at two"]
    head("1 sigma in 3 of 20 columns", columns)
    for every in ("week", "day"):
        one, two = Count(), Count()
        for seed, world in _worlds(every, runs):
            first = _judged(frame(world, seed, shift=1.0, drifted=SHIFTED), world)
            second = _judged(frame(world, seed, shift=1.0, drifted=SHIFTED, batches=2), world)
            if "not enough data" in (first.answer, second.answer):
                continue
            one.answers[first.answer] += 1
            two.answers["drift" if "drift" in (first.answer, second.answer) else "no drift"] += 1
            if second.answer == "drift":
                _name(two.named, second)
        named = two.named
        precision = named.right / max(named.right + named.wrong, 1)
        recall = named.right / max(named.asked, 1)
        print(f"| {every} | {one.share()} | {two.share()} | {precision:.2f} | {recall:.2f} |", flush=True)


def _shares(runs: int) -> None:
    columns = ["new category 5 %", "missing + 5 points", "the best test for it at 1 % a frame", "at 5 %"]
    head("in one weekly batch of so many rows", columns)
    for rows in (ROWS, MANY_ROWS):
        fresh, gone = Count(), Count()
        for seed, world in _worlds("week", runs, rows):
            made = frame(world, seed)
            fresh.answers[_found(_judged(with_new_category(made, 0.05), world), "kind")] += 1
            gone.answers[_found(_judged(with_more_missing(made, 0.05), world), "gaps")] += 1
        best = " | ".join(f"{_best_for_missing(rows, level):.1%}" for level in (ALPHA, 0.05))
        print(f"| {rows} | {fresh.share()} | {gone.share()} | {best} |", flush=True)


def _best_for_missing(rows: int, alpha: float) -> float:
    """Chance that the most powerful test finds 5 points more of 2 % missing in one batch.

    It is told that nothing but one column's missing share can rise and from where, and spends on it a column's part of
    the chance of a false alarm: the binomial test (Neyman and Pearson 1933).
    """
    columns, usual, more = World().columns + 2, 0.02, round(0.05 * rows)
    least = next(k for k in range(rows) if binom.sf(k - 1, rows, usual) <= alpha / columns)
    return float(binom.sf(least - more - 1, rows - more, usual))


def _together(runs: int) -> None:
    """The harder it is, the more of a row's variance its whole batch shares."""
    head("share of a row's variance that its batch has in common", ["1 sigma in one weekly batch", "in two"])
    for together in (0.01, 0.05, 0.1, 0.25):
        counts = [Count(), Count()]
        for seed in range(runs):
            world = World("week", 48, MEMORIES[seed % 3], together)
            for batches, count in zip((1, 2), counts, strict=True):
                made = frame(world, seed, shift=1.0, drifted=SHIFTED, batches=batches)
                count.answers[_judged(made, world).answer] += 1
        print(f"| {together} | {' | '.join(count.share() for count in counts)} |", flush=True)


def _residuals(runs: int) -> None:
    columns = ["false alarms a run", "MAE + 25 %, within two", "coverage 80 to 65 %, within two"]
    head("weekly batches of 300 outcomes, 26 backtested", columns)
    for memory in MEMORIES:
        errors, alarms, grown, narrow = Errors(memory=memory), Count(), Count(), Count()
        for seed in range(runs):
            still = labelled(outcomes(errors, seed, batches=LABELLED_WEEKS), batch="batch")
            for weeks in range(1, LABELLED_WEEKS + 1):
                judged = judge_residuals(_until(still, errors.backtest + weeks), errors.backtest)
                alarms.answers[judged.answer] += 1
            for factor, count in ((1.25, grown), (TOO_NARROW, narrow)):
                found = [_grown(errors, seed, factor, since) for since in (1, 2)]
                count.answers["drift" if any(found) else "no drift"] += 1
        cells = [each.share() for each in (alarms, grown, narrow)]
        print(f"| AR {memory} | {' | '.join(cells)} |", flush=True)


def _grown(errors: Errors, seed: int, factor: float, since: int) -> bool:
    made = outcomes(errors, seed, batches=8 + since, grown=factor, since=since)
    return judge_residuals(labelled(made, batch="batch"), errors.backtest).answer == "drift"


def _until(of: Labelled, count: int) -> Labelled:
    return Labelled(
        of.starts[:count],
        of.rows[:count],
        {name: values[:count] for name, values in of.statistics.items()},
        {name: values[:count] for name, values in of.noise.items()},
    )


def _years(seeds: Sequence[int]) -> None:
    """Without drift: runs until the first alarm, over pairs of which some end without one; all alarms; retrains."""
    still = [verdicts(seed) for seed in seeds]
    first = [until_first(said) for said in still]
    runs, begun = sum(len(said) for said in still), sum(alarms(said) for said in still)
    retrains = [sum(each.retrain for each in said) for said in still]
    print(f"\n| {len(still)} pairs of years of weekly runs without drift | |\n|---|---|")
    print(f"| until the first alarm | {run_length(sum(n for n, _ in first), sum(o for _, o in first))} |")
    print(f"| alarms after a run without | {run_length(runs, begun)} |")
    print(
        f"| retrains of a pair | median {median(retrains):g}, {sorted(Counter(retrains).items())} |",
        flush=True,
    )


def _episodes(seeds: Sequence[int]) -> None:
    """With drift that begins twice: how many retrains each brought, and how late the first was."""
    counts, late = Counter[int](), []
    for seed in seeds:
        weeks = [week for week, each in enumerate(verdicts(seed, EPISODES)) if each.retrain]
        for start, end in zip(EPISODES, (*EPISODES[1:], WEEKS), strict=True):
            inside = [week - start for week in weeks if start <= week < end]
            counts[len(inside)] += 1
            late += inside[:1]
    print(
        f"\n| {len(seeds)} pairs of years with episodes in weeks {EPISODES[0]} and {EPISODES[1]} | |\n|---|---|"
    )
    print(f"| retrains of an episode: how many had so many | {sorted(counts.items())} |")
    print(f"| weeks until the first: median and most | {median(late):g}, {max(late)} |", flush=True)


def _speed() -> None:
    head(f"{LARGE_ROWS:,} rows x {LARGE_COLUMNS} columns", ["seconds", "peak memory"])
    for who in ("ours", "evidently"):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.drift", "--large", who],
            capture_output=True,
            text=True,
            check=True,
        )
        print(f"| {who} | {done.stdout.strip().splitlines()[-1]} |", flush=True)


def _judged(made: pl.DataFrame, world: World) -> InputDrift:
    return judge_frame(made, batch="batch", every=world.every)


def _found(drift: InputDrift, column: str) -> str:
    return "drift" if column in drift.columns else "no drift"


def _name(named: Named, drift: InputDrift) -> None:
    true = {f"x{i}" for i in range(SHIFTED)}
    named.right += len(true & set(drift.columns))
    named.wrong += len(set(drift.columns) - true)
    named.asked += SHIFTED


if __name__ == "__main__":
    main()
