"""Small faults that a person could make in a rule, one at a time."""

import copy
import re
from collections.abc import Iterator
from typing import Any

Rule = dict[str, Any]

_WINDOW = re.compile(r"(?<=\[)(\d+)([smhd])(?=\])")
_OFFSET = re.compile(r"(?<=offset )(\d+)([smhdw])")
_NUMBER = re.compile(r'(?<![\w:."$|-])(\d+(?:\.\d+)?)(?![\w:."|])')
_COMPARATOR = re.compile(r"(?<=\s)(>=|<=|==|!=|>|<)(?=\s)")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
_METRIC = re.compile(r"\b[a-z]+(?:[_:][a-z0-9_:]+)+\b(?=[\[{)\s]|$)")
_NOTHING = re.compile(r"0 \* sum by \([^)]*\) \(increase\([^()]*\)\)")
"""Zero times a sum: of it only counts that it is there, over whatever window."""
_JOIN = re.compile(r"\b(and|or|unless)\b")
_OPPOSITE = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
_OTHERS = {
    ">": ("<", ">="),
    ">=": ("<", ">"),
    "<": (">", "<="),
    "<=": (">", "<"),
    "==": ("!=", ">="),
    "!=": ("==",),
}
_FUNCTIONS = {
    "absent_over_time",
    "max_over_time",
    "count_over_time",
    "sum_over_time",
    "group_left",
}


def mutants(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """(what was changed, the changed rule) of every small fault."""
    expr = rule["expr"]
    labels = {name for group in re.findall(r"by \(([^)]*)\)", expr) for name in re.split(r", ?", group)}
    for what, changed in (
        *_numbers(expr),
        *_durations(expr),
        *_comparators(expr),
        *_matchers(expr),
        *_metrics(expr, labels),
        *_joins(expr),
        *_groupings(expr),
    ):
        yield what, {**rule, "expr": changed}
    yield from _waits(rule)
    yield from _labels(rule)


def _put(expr: str, found: re.Match[str], text: str) -> str:
    return expr[: found.start()] + text + expr[found.end() :]


def _numbers(expr: str) -> Iterator[tuple[str, str]]:
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]|offset \w+|by \([^)]*\)', lambda one: "#" * len(one[0]), expr)
    for found in _NUMBER.finditer(bare):
        value = float(found[1])
        for other in (value * 1.5, value * 0.5) if value else (1.0, -1.0):
            yield f"threshold {found[1]} -> {other:g}", _put(expr, found, f"{other:g}")


def _durations(expr: str) -> Iterator[tuple[str, str]]:
    bare = _NOTHING.sub(lambda one: "#" * len(one[0]), expr)
    for pattern in (_WINDOW, _OFFSET):
        for found in pattern.finditer(bare):
            count = int(found[1])
            for other in {count * 3, max(count // 3, 1)} - {count}:
                yield f"duration {found[0]} -> {other}{found[2]}", _put(expr, found, f"{other}{found[2]}")


def _comparators(expr: str) -> Iterator[tuple[str, str]]:
    for found in _COMPARATOR.finditer(expr):
        for other in _OTHERS[found[1]]:
            yield f"comparator {found[1]} -> {other}", _put(expr, found, other)


def _matchers(expr: str) -> Iterator[tuple[str, str]]:
    for found in _MATCHER.finditer(expr):
        name, operator, value = found.groups()
        yield f"label {found[0]} negated", _put(expr, found, f'{name}{_OPPOSITE[operator]}"{value}"')
        if operator in {"=", "=~"}:
            yield f"label {found[0]} misspelt", _put(expr, found, f'{name}{operator}"{value}x"')


def _metrics(expr: str, labels: set[str]) -> Iterator[tuple[str, str]]:
    bare = re.sub(r'"[^"]*"', lambda one: "#" * len(one[0]), expr)
    for found in _METRIC.finditer(bare):
        if found[0] not in labels | _FUNCTIONS and "=" not in expr[found.end() : found.end() + 1]:
            yield f"metric {found[0]} misspelt", _put(expr, found, found[0] + "x")
    for found in re.finditer(r"\bup(?=[\[{])", bare):
        yield "metric up misspelt", _put(expr, found, "upx")


def _joins(expr: str) -> Iterator[tuple[str, str]]:
    bare = re.sub(r'"[^"]*"', lambda one: "#" * len(one[0]), expr)
    for found in _JOIN.finditer(bare):
        yield f"{found[1]} turned", _put(expr, found, "or" if found[1] == "and" else "and")


def _groupings(expr: str) -> Iterator[tuple[str, str]]:
    bare = _NOTHING.sub(lambda one: "#" * len(one[0]), expr)
    for found in re.finditer(r"\b(max|min|sum|count)(?= by| ?\()", bare):
        other = {"max": "min", "min": "max", "sum": "count", "count": "sum"}[found[1]]
        yield f"{found[1]} -> {other}", _put(expr, found, other)
    for found in re.finditer(r" by \([^)]*\)", expr):
        yield f"label {found[0].strip()} left out", _put(expr, found, "")


def _waits(rule: Rule) -> Iterator[tuple[str, Rule]]:
    if "for" not in rule:
        return
    count, unit = int(rule["for"][:-1]), rule["for"][-1]
    for other in {
        f"{count * 2 or 5}{unit if count else 'm'}",
        f"{count * 30 // 60 if unit != 's' else count // 2}{unit}",
        "0s",
    }:
        if other not in {rule["for"], f"0{unit}"} or (other == "0s" and count):
            yield f"for {rule['for']} -> {other}", {**rule, "for": other}


def _labels(rule: Rule) -> Iterator[tuple[str, Rule]]:
    for name in rule.get("labels", {}):
        for value in ("ticket" if rule["labels"][name] == "page" else "page", None):
            changed = copy.deepcopy(rule)
            if value is None:
                del changed["labels"][name]
            else:
                changed["labels"][name] = value
            yield f"label {name} -> {value}", changed
