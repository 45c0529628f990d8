"""The packages of the offer, each built from this repository's overlays without the lines of those that it has not."""

import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.manifests import render
from tests.environments.rendered import Manifest, documents
from tests.repository.imports import ROOT

PLACES = ("staging", "production", "platform")
SERVICES = {
    "base": {"decision", "forecast"},
    "collect": {"collector", "console", "decision", "forecast"},
    "operate": {"collector", "console", "decision", "forecast"},
}
"""Of an environment."""
OF_COLLECT = r"packages/collect|`collect`|components/console|inbox-database|(collector|console)"
OF_OPERATE = r"packages/operate|`operate`|components/oncall"
MISSING = {"base": f"{OF_COLLECT}|{OF_OPERATE}", "collect": OF_OPERATE, "operate": r"(?!)"}
"""What the lines are of that a package leaves out of `kustomization.yaml` files."""


@dataclass(frozen=True)
class Package:
    """What a cluster with a package runs, by place."""

    name: str
    manifests: dict[str, list[Manifest]]

    @property
    def everything(self) -> list[Manifest]:
        return [each for found in self.manifests.values() for each in found]


@cache
def package(name: str) -> Package:
    """A package as docs/packages.md says it is installed."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "environments"
        shutil.copytree(ROOT / "environments", copy)
        for place in PLACES:
            for file in (copy / place).rglob("kustomization.yaml"):
                file.write_text(without(file.read_text(), MISSING[name]))
        return Package(name, {place: documents(render.build(copy / place)) for place in PLACES})


def without(text: str, pattern: str) -> str:
    """A kustomization without the entries of its lists that a pattern is in, and without lists that are empty then."""
    entries = re.split(r"\n(?=  - |\S)", text.rstrip())
    kept = [entry for entry in entries if not (entry.startswith("  - ") and re.search(pattern, entry))]
    return re.sub(r"^\w+:\n(?=\S|\Z)", "", "\n".join(kept) + "\n", flags=re.MULTILINE)
