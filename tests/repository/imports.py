"""Reads the import statements of the tree; the facts about it are asserted beside this file."""

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("ml", "apps", "scripts")


@cache
def modules() -> Mapping[str, Path]:
    """Dotted name of each of our modules and its file."""
    found = {}
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imported_by(module: str) -> frozenset[str]:
    """Dotted names that a module imports, lazily or not; `from a import b` is a.b when that is a module."""
    known = modules()
    names: set[str] = set()
    for node in ast.walk(ast.parse(known[module].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module if known[module].name == "__init__.py" else module.rpartition(".")[0]
                for _ in range(node.level - 1):
                    package = package.rpartition(".")[0]
                base = f"{package}.{base}".rstrip(".")
            for alias in node.names:
                names.add(f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base)
    return frozenset(names)


def closure(*roots: str) -> frozenset[str]:
    """Our modules that importing `roots` can load, themselves and the packages on the way included."""
    known = modules()
    seen: set[str] = set()
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        parts = name.split(".")
        todo += [".".join(parts[:i]) for i in range(1, len(parts))]
        todo += imported_by(name)
    return frozenset(seen)


def foreign(names: frozenset[str]) -> frozenset[str]:
    """Top-level names of what these modules import that is not ours."""
    found = {name.partition(".")[0] for module in names for name in imported_by(module)}
    return frozenset(found - set(OURS))
