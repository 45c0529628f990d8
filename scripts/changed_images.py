"""`python -m scripts.changed_images`: which images two commits make differently.

stdout is a JSON list of image and Dockerfile, as a build matrix. A base that is not in this repository lists all.
"""

import argparse
import json
import sys
from pathlib import Path

from scripts.history.git import Git, GitFailed
from scripts.images.image_sources import changed_images


def main(arguments: list[str] | None = None) -> int:
    """Print the list; the exit code comes back."""
    parser = argparse.ArgumentParser(description="Which images two commits make differently.")
    parser.add_argument(
        "--base", required=True, help="commit that was built before; unknown or empty means none"
    )
    parser.add_argument("--head", required=True, help="commit to build")
    parser.add_argument("--repository", type=Path, default=Path(), help="a Git repository [here]")
    options = parser.parse_args(arguments)
    git = Git(options.repository)
    head = git.text("rev-parse", "--verify", f"{options.head}^{{commit}}")
    changed = changed_images(git, _known(git, options.base), head)
    print(json.dumps([{"image": image, "dockerfile": path} for image, path in changed.items()]))
    return 0


def _known(git: Git, name: str) -> str | None:
    try:
        return git.text("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
    except GitFailed:
        return None


if __name__ == "__main__":
    sys.exit(main())
