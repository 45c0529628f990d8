"""Each Dockerfile copies exactly what its service imports, and installs exactly its extra."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.repository.imports import ROOT, closure, foreign, modules

SERVICES = ("collector", "forecast", "decision", "console", "oncall")
IMAGES = {**{service: f"apps/{service}/Dockerfile" for service in SERVICES}, "training": "ml/Dockerfile"}
# What an import name is called on the package index, where the two differ; standard library names are left out.
DISTRIBUTION = {
    "argon2": "argon2-cffi",
    "jwt": "pyjwt",
    "prometheus_client": "prometheus-client",
    "pydantic_settings": "pydantic-settings",
    "yaml": "pyyaml",
}
FOUND_BY_ALEMBIC = {"oncall": ("ml.migrations.env", "apps.oncall.versions.oncall_0001")}
"""Modules that are read by their path."""
OWN_PROCESSES = {"console": ["apps.console.propose"]}
"""What a service starts beside itself."""
BROUGHT_BY_FASTAPI = {"pydantic", "pydantic_core", "starlette", "anyio"}
CHOSEN_BY_UVICORN = {"uvloop", "httptools"}
NAMED_IN_A_URL = {"oncall": {"pg8000"}}  # SQLAlchemy imports it


def copied(dockerfile: Path) -> set[Path]:
    """Python files of ours that the COPY lines bring in, folders resolved."""
    files: set[Path] = set()
    for line in re.sub(r"\\\n", " ", dockerfile.read_text()).splitlines():
        words = line.split()
        if not words or words[0] != "COPY" or any(word.startswith("--from=") for word in words):
            continue
        for source in [w for w in words[1:-1] if not w.startswith("--")]:
            path = ROOT / source
            assert path.exists(), f"{dockerfile.relative_to(ROOT)}: COPY {source} names nothing"
            files |= set(path.rglob("*.py")) if path.is_dir() else {path}
    return {f for f in files if f.suffix == ".py"}


def roots(image: str) -> list[str]:
    """The modules that an image's processes start from; training runs whatever command a workflow names."""
    if image == "training":
        return [name for name in modules() if name.partition(".")[0] in ("ml", "scripts")]
    own = (*FOUND_BY_ALEMBIC.get(image, ()), *OWN_PROCESSES.get(image, ()))
    return [f"apps.{image}.main", f"apps.{image}.__main__", *own]


@pytest.mark.parametrize("image", IMAGES)
def test_copy_lines_are_the_import_closure(image: str) -> None:
    needed = {modules()[name] for name in closure(*roots(image))}
    assert {str(p.relative_to(ROOT)) for p in copied(ROOT / IMAGES[image])} == {
        str(p.relative_to(ROOT)) for p in needed
    }


@pytest.mark.parametrize("service", SERVICES)
def test_the_extra_lists_what_the_image_imports_and_nothing_else(service: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = {re.split(r"[<>=\[]", line)[0] for line in project["optional-dependencies"][service]}
    imported = {
        DISTRIBUTION.get(name, name)
        for name in foreign(closure(*roots(service)))
        if name not in sys.stdlib_module_names
    }
    named = NAMED_IN_A_URL.get(service, set())
    assert imported - BROUGHT_BY_FASTAPI == listed - CHOSEN_BY_UVICORN - named


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_plain_user_from_its_hashed_lock(image: str) -> None:
    text = (ROOT / IMAGES[image]).read_text()
    assert f"requirements/{image}.txt" in text
    assert "--require-hashes" in text
    assert re.search(r"^USER \d+", text, re.MULTILINE)
    assert re.search(r"^(ENTRYPOINT|CMD) \[", text, re.MULTILINE), "the process is started without a shell"


def compiled(image: str, folder: Path, modified: int, *, without: str = "") -> dict[str, bytes]:
    """Bytecode that the image's own command makes of files that were changed at that time."""
    for path in copied(ROOT / IMAGES[image]):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        os.utime(copy, (modified, modified))
    (command,) = re.findall(
        r"^RUN python (-m compileall .+)$", (ROOT / IMAGES[image]).read_text(), re.MULTILINE
    )
    words = [sys.executable, *shlex.split(command.replace(without, ""))]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    subprocess.run(words, cwd=folder, env=environment, check=True)
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*.pyc")}


CHECKED_OUT = (1_700_000_000, 1_790_000_000)


@pytest.mark.parametrize("image", IMAGES)
def test_the_same_commit_gives_the_same_bytecode_whenever_it_was_checked_out(
    image: str, tmp_path: Path
) -> None:
    first, again = (compiled(image, tmp_path / str(at), at) for at in CHECKED_OUT)
    assert first == again
    assert len(first) == len(copied(ROOT / IMAGES[image])), "one for each file"


def test_bytecode_that_knows_when_its_source_was_changed_is_seen(tmp_path: Path) -> None:
    """The control: without the option the same commit gives two images."""
    option = "--invalidation-mode unchecked-hash "
    first, again = (compiled("oncall", tmp_path / str(at), at, without=option) for at in CHECKED_OUT)
    assert first.keys() == again.keys()
    assert first != again
    assert all(option in (ROOT / file).read_text() for file in IMAGES.values())
