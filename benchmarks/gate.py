"""How often the promotion gate errs: `python -m benchmarks.gate --simulations 400` prints the tables of docs/gate.md.

Every line is a campaign on simulated forecasters of known quality, see tests/ml/simulated_trials.py.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace

from ml.gate import Gain
from tests.ml.simulated_trials import Tally, World, best_of_nine_promoted, promoted_within_a_year, tally

USUAL, STORMY = "usual: 1,000 products, 6 months", "stormy: luck by the month 4 times as large"
WORLDS = {
    USUAL: World(),
    STORMY: World(by_month=0.06),
    "calm: nothing goes by the month": World(by_month=0, shock=0),
    "small: 300 products": World(products=300),
    "short: 3 months": World(months=3),
    "long: 12 months": World(months=12),
}
QUALITIES = {"equal": 1.0, "10 % better": 0.9, "10 % worse": 1.1}
CLOSE = World(by_product=0.02, by_month=0.002, by_pair=0.02, alike=0.9995)
HARM = {
    "1,000 products, a class (a quarter)": (1_000, "class 0"),
    "1,000 products, a category (an eighth)": (1_000, "category 0"),
    "3,000 products, a class (a quarter)": (3_000, "class 0"),
    "3,000 products, a category (an eighth)": (3_000, "category 0"),
    "10,000 products, a class (a quarter)": (10_000, "class 0"),
}
COLUMNS = (
    "promoted",
    "worse",
    "not better",
    "not enough data",
    "refused",
    "any guardrail failed",
    "half width",
)


def main() -> None:
    """Print one Markdown table for each question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=400, help="of each line [%(default)s]")
    count, started = parser.parse_args().simulations, time.process_time()
    _head("loss of the challenger")
    for name, world in WORLDS.items():
        for quality, factor in QUALITIES.items():
            _line(f"{name}; {quality}", world, factor, count)
    _head("12 % better, but 10 % worse in one part")
    for name, (products, part) in HARM.items():
        _line(name, World(products=products), {"": 0.88, part: 1.1}, count)
    _head("close recipes, and the challenger is cheaper")
    for factor in (0.99, 1.0, 1.01, 1.02):
        _line(f"{factor:g} times the loss", CLOSE, factor, count, gain="cheaper")
    _many_looks(count)
    print(f"\n{count} simulations a line, {time.process_time() - started:.0f} s of processor")


def _many_looks(count: int) -> None:
    print("\n| the best of nine equal candidates against an equal champion | promoted |\n|---|---|")
    for name in (USUAL, STORMY):
        print(f"| {name} | {best_of_nine_promoted(WORLDS[name], count):.1%} |", flush=True)
    print(
        "\n| twelve monthly decisions on equal recipes, 300 products | promoted within the year |\n|---|---|"
    )
    for name, world in {"usual": WORLDS[USUAL], "stormy": WORLDS[STORMY], "close recipes": CLOSE}.items():
        small = replace(world, products=300)
        for once, rule in ((True, "each month decides once"), (False, "no such rule")):
            print(
                f"| {name}; {rule} | {promoted_within_a_year(small, count, once=once):.1%} |",
                flush=True,
            )


def _head(question: str) -> None:
    print(f"\n| {question} | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")


def _line(
    name: str, world: World, quality: float | Mapping[str, float], count: int, gain: Gain | None = None
) -> None:
    found: Tally = tally(world, quality, count, gain=gain)
    shares = (
        found.promoted,
        found.worse,
        found.not_better,
        found.not_enough_data,
        found.refused,
        found.harmed,
        found.half_width,
    )
    print(f"| {name} | {' | '.join(f'{share:.1%}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()
