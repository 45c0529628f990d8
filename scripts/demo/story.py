"""What the demo prints: numbered steps, facts under each, tables."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

BOLD, DIM, RED, GREEN, PLAIN = "\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[0m"
BENCHMARK_COLUMNS = (
    ("candidate", "candidate", "{}"),
    ("family", "family", "{}"),
    ("wape", "WAPE", "{:.3f}"),
    ("rmsse", "RMSSE", "{:.3f}"),
    ("pinball", "pinball", "{:.3f}"),
    ("coverage_80", "80 % cov.", "{:.1%}"),
    ("bias", "bias", "{:+.1%}"),
    ("seconds", "seconds", "{:.1f}"),
)


class Failed(Exception):
    """A step did not do what it says; the text is one sentence for a person."""


class Story:
    """Prints to stdout; colour only on a terminal."""

    def __init__(self, total: int) -> None:
        self._total, self._step = total, 0
        self._began = self._step_began = time.monotonic()
        self._colour = sys.stdout.isatty()

    def step(self, name: str, promise: str) -> None:
        """The next step and what it is about to show."""
        self._step += 1
        self._step_began = time.monotonic()
        number = f"[{self._step:>2}/{self._total}]"
        print(f"\n{self._in(DIM, number)} {self._in(BOLD, name)}: {promise}", flush=True)

    def command(self, words: Sequence[str]) -> None:
        """The command that a person would type for this."""
        print(f"        {self._in(DIM, '$ ' + shlex.join(words))}", flush=True)

    def say(self, fact: str) -> None:
        """One fact under the step."""
        print(f"        {fact}", flush=True)

    def show(self, table: str) -> None:
        """A table under the step."""
        for line in table.splitlines():
            self.say(line)

    def show_example(self, pair: tuple[Mapping[str, Any], Mapping[str, Any]]) -> None:
        """One product's forecast and decision as a planner would read them."""
        told, decided = pair
        self.say(
            f"for example {told['product_id']} ({told['category']}) in {told['month']}: mean {told['mean']:.1f} units,"
            f" 80 % between {told['p10']:.0f} and {told['p90']:.0f}, confidence {told['confidence']:.2f}"
        )
        self.say(f"    {decided['reason']}")

    def fail(self, reason: str) -> None:
        """The reason the demo ends, on stderr."""
        print(f"\n{self._in(RED, 'demo: ' + reason)}", file=sys.stderr, flush=True)

    def done(self) -> None:
        """All steps held."""
        seconds = time.monotonic() - self._began
        print(f"\n{self._in(GREEN, f'every step did what it says, in {seconds:.0f} s')}", flush=True)

    def wait_for_interrupt(self) -> None:
        """Stay until Ctrl-C."""
        print("Ctrl-C stops everything.", flush=True)
        signal.pause()

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._colour else text


def benchmark_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Candidates and baselines, one line each in the given order."""
    cells = [[head for _, head, _ in BENCHMARK_COLUMNS]]
    cells += [[_cell(row.get(key), form) for key, _, form in BENCHMARK_COLUMNS] for row in rows]
    texts = 2  # candidate and family; numbers go to the right
    widths = [max(len(line[i]) for line in cells) for i in range(len(BENCHMARK_COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i < texts else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    )


def _cell(value: Any, form: str) -> str:
    return "-" if value is None else form.format(value)
