"""Prometheus' own checker accepts what every service exposes."""

import subprocess

import httpx
import pytest

from tests.scripts.running_demo import RunningDemo

pytestmark = pytest.mark.system


@pytest.mark.parametrize("service", ["collector", "forecast", "decision", "console"])
def test_promtool_accepts_the_metrics(demo: RunningDemo, service: str) -> None:
    text = httpx.get(f"http://127.0.0.1:{demo.port(service)}/metrics").text
    assert "# TYPE" in text
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_promtool_refuses_a_broken_exposition() -> None:
    """The control: the checker does find faults."""
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input="a 1\na 2 {\n", capture_output=True, text=True, check=False
    )
    assert checked.returncode != 0
