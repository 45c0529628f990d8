"""Every benchmark answers `--help`: argparse formats the texts with `%` only then, so nobody else finds a wrong one.

The texts are read, not asked for: importing all benchmarks takes ten seconds, and one needs libraries of its own.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))
_BARE = re.compile(r"(?<!%)%(?![%(])")


def wrong_helps(source: str) -> list[str]:
    """Help texts with a bare per cent sign, or a share that is written with one when it is filled in."""
    return [
        ast.unparse(option.value)
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        for option in call.keywords
        if option.arg == "help" and any(_BARE.search(text) for text in _texts(option.value))
    ]


def _texts(value: ast.expr) -> Iterator[str]:
    return (
        part.value
        for part in ast.walk(value)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_benchmark_answers_help(file: Path) -> None:
    assert wrong_helps(file.read_text()) == []


@pytest.mark.parametrize("text", ['"5 % of them"', 'f"{SHARE:.0%} of them"', '"[%(default)s], 5%"'])
def test_a_help_that_argparse_cannot_format_is_found(text: str) -> None:
    assert wrong_helps(f"made.add_argument('--x', help={text})")
    assert not wrong_helps("made.add_argument('--x', help='5 %% of them [%(default)s]')")
