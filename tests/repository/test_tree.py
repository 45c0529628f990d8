"""Facts about the tree that a reader relies on."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.repository.imports import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
TEXTS = [
    p
    for p in sorted(ROOT.rglob("*"))
    if p.is_file()
    and p.suffix in {".md", ".yaml", ".yml", ".toml", ".txt", ".py", ".j2", ".html", ".mod", ""}
    and not any(part.startswith(".") and part not in {".github", ".ci"} for part in p.relative_to(ROOT).parts)
]


def test_the_readme_table_lists_the_folders_on_disk() -> None:
    listed = set(re.findall(r"^\| `([a-z_.]+)/` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    present = {
        p.name for p in ROOT.iterdir() if p.is_dir() and (not p.name.startswith(".") or p.name == ".github")
    }
    assert listed == present


@pytest.mark.parametrize("lock", LOCKS, ids=lambda p: p.stem)
def test_a_lock_pins_every_package_by_version_and_hash(lock: Path) -> None:
    requirements = re.sub(r"\\\n\s*", " ", lock.read_text()).splitlines()
    assert requirements
    for line in requirements:
        assert re.match(r"[A-Za-z0-9._\[\],-]+==\S+ ", line), line
        assert "--hash=sha256:" in line, line


@pytest.mark.parametrize("lock", LOCKS, ids=lambda p: p.stem)
def test_a_lock_names_no_download_host(lock: Path) -> None:
    assert "://" not in lock.read_text()
    assert "--index-url" not in lock.read_text()


def test_every_extra_has_a_lock_with_its_packages() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, packages in extras.items():
        pinned = {
            line.split("==")[0].split("[")[0].lower()
            for line in (ROOT / "requirements" / f"{extra}.txt").read_text().splitlines()
            if "==" in line
        }
        wanted = {re.split(r"[<>=\[]", p)[0].lower() for p in packages} - {"purchase-prediction"}
        assert wanted <= pinned, f"{extra}: run `make lock`"


def test_workflows_pin_actions_by_commit_and_start_without_permissions() -> None:
    for path in sorted((ROOT / ".github" / "workflows").glob("*.y*ml")):
        text = path.read_text()
        assert yaml.safe_load(text)["permissions"] == {}, path.name
        for use in re.findall(r"uses:\s*(\S+)", text):
            assert use.startswith("./") or re.search(r"@[0-9a-f]{40}$", use), f"{path.name}: {use}"


@pytest.mark.parametrize(
    "page", [p for p in TEXTS if p.suffix == ".md"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), target
