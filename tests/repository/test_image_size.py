"""What our layers add to the base image, by the files of the locked packages as they are installed here."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.repository.imports import ROOT
from tests.repository.test_images import IMAGES, SERVICES, copied

MOST_BYTES = 150_000_000
GOMP_BYTES = 1_000_000  # Debian's libgomp1, in the forecast image


def locked(image: str) -> list[str]:
    """Names of the packages in the lock that this interpreter takes."""
    text = (ROOT / "requirements" / f"{image}.txt").read_text()
    lines = re.findall(r"^([a-z0-9-]+==[^\\\n]+)", text, re.MULTILINE)
    wanted = map(Requirement, lines)
    return [each.name for each in wanted if each.marker is None or each.marker.evaluate()]


def taken_out(image: str) -> list[str]:
    found = re.search(r"uninstall (?:--\S+ )*((?:[a-z]+ ?)+)", (ROOT / IMAGES[image]).read_text())
    return found[1].split() if found else []


def size_bytes(path: Path) -> int:
    """Of a file, and of its bytecode where it has some: at most as large as its source."""
    return path.stat().st_size * (2 if path.suffix == ".py" else 1)


def installed_bytes(package: str) -> int:
    files = [file for file in distribution(package).files or () if "tests" not in file.parts]
    paths = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return sum(size_bytes(path) for path in paths if path.is_file())


def image_bytes(image: str) -> int:
    packages = set(locked(image)) - set(taken_out(image))
    ours = sum(map(size_bytes, copied(ROOT / IMAGES[image])))
    return sum(map(installed_bytes, packages)) + ours + GOMP_BYTES


@pytest.mark.parametrize("image", SERVICES)
def test_a_serving_image_adds_at_most_150_megabytes(image: str) -> None:
    assert 10_000_000 < image_bytes(image) <= MOST_BYTES


def test_what_the_forecast_image_takes_out_is_what_would_make_it_too_large() -> None:
    """The control: the sizes are of real files, and no name that is taken out is a mistake."""
    assert set(taken_out("forecast")) <= set(locked("forecast"))
    assert image_bytes("forecast") + sum(map(installed_bytes, taken_out("forecast"))) > MOST_BYTES
