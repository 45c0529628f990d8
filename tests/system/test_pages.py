"""The console's pages in a real Chromium: they render, nothing is blocked, and the numbers are there."""

import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.scripts.running_demo import RunningDemo
from tests.system.browser import HEADLESS

pytestmark = pytest.mark.system
CHROMIUM = (*HEADLESS, "--hide-scrollbars", "--enable-logging=stderr", "--v=0")


def chromium(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    return subprocess.run(
        [*CHROMIUM, profile, *arguments], capture_output=True, text=True, check=True, timeout=120
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "What runs is what Git says"),
        ("/products", "SKU-"),
        ("/data", "All checks"),
        ("/models", "WAPE"),
        ("/releases", "Revert"),
    ],
)
def test_a_page_renders_without_console_errors(
    demo: RunningDemo, tmp_path: Path, path: str, expected: str
) -> None:
    url = f"http://127.0.0.1:{demo.port('console')}{path}"
    page = chromium(tmp_path, "--dump-dom", url)
    assert expected in re.sub(r"<[^>]+>", " ", page.stdout)
    assert not re.findall(r"CONSOLE.*(?:Refused|Error|violat).*", page.stderr)


def test_a_page_fits_a_phone_and_makes_a_picture(demo: RunningDemo, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    url = f"http://127.0.0.1:{demo.port('console')}/"
    chromium(tmp_path, "--window-size=390,844", f"--screenshot={picture}", url)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000


def test_mlflow_shows_the_registered_versions(demo: RunningDemo) -> None:
    answer = httpx.get(
        f"http://127.0.0.1:{demo.port('mlflow')}/api/2.0/mlflow/model-versions/search",
        params={"filter": "name='demand'"},
    )
    assert len(answer.json()["model_versions"]) >= 2
