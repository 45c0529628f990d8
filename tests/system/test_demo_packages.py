"""The demo of each package starts exactly the services of that package, and every step does what it says."""

import re
from pathlib import Path

import pytest

from scripts.demo.__main__ import PORTS
from scripts.demo.packages import SERVICES, STEPS
from tests.environments import packages
from tests.scripts.running_demo import UP, RunningDemo
from tests.scripts.test_demo import small_shop

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    "package", ["base", "operate"]
)  # `collect` is what every other test of the demo runs
def test_a_demo_runs_the_services_of_its_package(package: str, tmp_path: Path) -> None:
    demo = RunningDemo(tmp_path, "--once", "--package", package, *small_shop(tmp_path))
    assert demo.wait() == 0, demo.output()
    said = demo.output()
    assert UP in said
    assert f"[{STEPS[package]}/{STEPS[package]}]" in said
    (logs,) = tmp_path.glob("*/logs")
    assert {each.stem for each in logs.iterdir()} == set(SERVICES[package])
    named = {int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", said)}
    assert named == {PORTS[name] + demo.offset for name in SERVICES[package]}


def test_the_packages_are_those_of_a_cluster() -> None:
    cluster = {
        name: {*found, *({"oncall"} if name == "operate" else ())}
        for name, found in packages.SERVICES.items()
    }
    assert {name: set(found) for name, found in SERVICES.items()} == cluster
