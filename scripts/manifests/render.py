"""What an environment's manifests look like at a commit, and how they differ between two."""

import difflib
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import yaml

from scripts.errors import Broken
from scripts.history.git import Git
from scripts.manifests.overlay import folders_with

BUILT = Path(__file__).parents[2] / ".bin" / "kustomize"
HIDDEN = "(hidden)"

_TIMEOUT_SECONDS = 60.0


class NoKustomize(Exception):
    """There is no kustomize on this machine."""


class DoesNotRender(Broken):
    """Kustomize refuses the manifests."""


def kustomize() -> Path:
    """The built tool of the checkout, else the one on the PATH.

    Raises:
        NoKustomize: There is neither; `make tools` builds it.
    """
    if BUILT.is_file():
        return BUILT
    found = shutil.which("kustomize")
    if found is None:
        raise NoKustomize("kustomize is not installed; `make tools` builds it")
    return Path(found)


def build(folder: Path) -> str:
    """The rendered manifests of an overlay, with the data of Secrets hidden.

    Raises:
        DoesNotRender: Kustomize refuses; the text is its own.
    """
    done = subprocess.run(
        [str(kustomize()), "build", str(folder)],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},  # remote bases would need git's configuration
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_SECONDS,
    )
    if done.returncode != 0:
        raise DoesNotRender(f"{folder.name} does not render: {done.stderr.strip()}")
    return _without_secrets(done.stdout)


def overlays(git: Git, commit: str) -> list[str]:
    """Names of the folders of `environments` that are rendered on their own at a commit."""
    return [name for name in folders_with(git, commit, "kustomization.yaml") if name != "base"]


def build_at(git: Git, commit: str, environment: str) -> str:
    """The rendered manifests of an environment at a commit; empty when it has none there."""
    archive = git.run("archive", "--format=tar", commit, "environments")
    with tempfile.TemporaryDirectory(prefix="render-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            _extract(tar, Path(folder))
        overlay = Path(folder, "environments", environment)
        return build(overlay) if (overlay / "kustomization.yaml").is_file() else ""


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    """Regular files only, so nothing leads outside; `extractall` has no filter before Python 3.11.4."""
    for member in tar:
        if content := tar.extractfile(member) if member.isfile() else None:
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


def difference(git: Git, base: str, head: str, environment: str) -> str:
    """Unified diff of an environment's manifests between two commits; empty when they are the same."""
    before, after = (build_at(git, commit, environment).splitlines(keepends=True) for commit in (base, head))
    return "".join(difflib.unified_diff(before, after, f"{environment} before", f"{environment} after"))


def _without_secrets(manifests: str) -> str:
    """Hide what Secrets hold; text without a Secret comes back byte by byte."""
    documents = manifests.split("\n---\n")
    return "\n---\n".join(_hidden(text) if "kind: Secret" in text else text for text in documents)


def _hidden(text: str) -> str:
    document = yaml.safe_load(text)
    if not isinstance(document, dict) or document.get("kind") != "Secret":
        return text
    for field in ("data", "stringData"):
        document[field] = dict.fromkeys(document.get(field) or {}, HIDDEN)
    return yaml.safe_dump(document, sort_keys=False).rstrip("\n")
