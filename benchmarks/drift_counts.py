"""Answers of many runs, and the tables that `benchmarks.drift` prints of them."""

from collections import Counter
from dataclasses import dataclass, field

from scipy.stats import beta, chi2


@dataclass
class Named:
    """Columns that were named, rightly or not, and how many there were to name."""

    right: int = 0
    wrong: int = 0
    asked: int = 0


@dataclass
class Count:
    """Answers of many runs."""

    answers: Counter[str] = field(default_factory=Counter)
    named: Named = field(default_factory=Named)

    @property
    def judged(self) -> int:
        """Runs that had data enough."""
        return self.answers["drift"] + self.answers["no drift"]

    def share(self, what: str = "drift") -> str:
        """Share of the judged runs, its 95 % upper bound (Clopper and Pearson 1934) and how many there were."""
        found, count = self.answers[what], self.judged
        upper = float(beta.ppf(0.95, found + 1, count - found)) if found < count else 1.0
        return f"{found / max(count, 1):.1%} (≤ {upper:.1%}) of {count}"


def run_length(runs: int, alarms: int) -> str:
    """Mean runs to an alarm, with 95 % bounds of a constant rate (Garwood 1936); runs that ended without one count."""
    low, high = (
        2 * runs / float(chi2.ppf(level, freedom)) if freedom else float("inf")
        for level, freedom in ((0.975, 2 * alarms + 2), (0.025, 2 * alarms))
    )
    return f"{runs / max(alarms, 1):.1f} runs ({low:.1f} to {high:.1f}; {alarms} alarms in {runs:,} runs)"


def head(first: str, columns: list[str]) -> None:
    """Of a table in Markdown."""
    print(f"\n| {first} | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}", flush=True)
