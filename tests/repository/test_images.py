"""Each Dockerfile copies exactly what its service imports, and installs exactly its extra."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.repository.imports import ROOT, closure, foreign, modules

SERVICES = ("collector", "forecast", "decision", "console")
# What an import name is called on the package index, where the two differ; standard library names are left out.
DISTRIBUTION = {
    "prometheus_client": "prometheus-client",
    "pydantic_settings": "pydantic-settings",
    "yaml": "pyyaml",
}
BROUGHT_BY_FASTAPI = {"pydantic", "starlette", "anyio"}
CHOSEN_BY_UVICORN = {"uvloop", "httptools"}


def copied(dockerfile: Path) -> set[Path]:
    """Python files of ours that the COPY lines bring in, folders resolved."""
    files: set[Path] = set()
    for line in re.sub(r"\\\n", " ", dockerfile.read_text()).splitlines():
        words = line.split()
        if not words or words[0] != "COPY":
            continue
        for source in [w for w in words[1:-1] if not w.startswith("--")]:
            path = ROOT / source
            assert path.exists(), f"{dockerfile.parent.name}: COPY {source} names nothing"
            files |= set(path.rglob("*.py")) if path.is_dir() else {path}
    return {f for f in files if f.suffix == ".py"}


@pytest.mark.parametrize("service", SERVICES)
def test_copy_lines_are_the_import_closure(service: str) -> None:
    needed = {
        modules()[name] for name in closure(f"apps.{service}.main") | closure(f"apps.{service}.__main__")
    }
    assert {str(p.relative_to(ROOT)) for p in copied(ROOT / "apps" / service / "Dockerfile")} == {
        str(p.relative_to(ROOT)) for p in needed
    }


@pytest.mark.parametrize("service", SERVICES)
def test_the_extra_lists_what_the_image_imports_and_nothing_else(service: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = {re.split(r"[<>=\[]", line)[0] for line in project["optional-dependencies"][service]}
    imported = {
        DISTRIBUTION.get(name, name)
        for name in foreign(closure(f"apps.{service}.main") | closure(f"apps.{service}.__main__"))
        if name not in sys.stdlib_module_names
    }
    assert imported - BROUGHT_BY_FASTAPI == listed - CHOSEN_BY_UVICORN


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_runs_as_a_plain_user_from_its_hashed_lock(service: str) -> None:
    text = (ROOT / "apps" / service / "Dockerfile").read_text()
    assert f"requirements/{service}.txt" in text
    assert "--require-hashes" in text
    assert re.search(r"^USER \d+", text, re.MULTILINE)
    assert re.search(r"^(ENTRYPOINT|CMD) \[", text, re.MULTILINE), "the process is started without a shell"
