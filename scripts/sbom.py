"""`python -m scripts.sbom`: what the images hold of locked libraries, as CycloneDX.

stdout is one JSON object, by image. The images' own list (`.github/workflows/images.yaml`) also has what their base
brings; this one needs no image, so it runs before there is one.
"""

import argparse
import json
import sys
from pathlib import Path

from ml.sbom import image_sbom, locked
from scripts.history.git import Git
from scripts.images.image_sources import dockerfiles

ROOT = Path(__file__).parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Print the lists; the exit code comes back."""
    parser = argparse.ArgumentParser(
        description="Locked libraries of the images of this commit, as CycloneDX."
    )
    parser.add_argument("--repository", type=Path, default=ROOT, help="a Git repository [this one]")
    options = parser.parse_args(arguments)
    folder = options.repository / "requirements"
    known = dockerfiles(Git(options.repository), "HEAD")
    found = {image: image_sbom(image, locked((folder / f"{image}.txt").read_text())) for image in known}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
