"""Imports follow the arrows of the design, and each heavy library has one door."""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.repository.imports import ROOT, closure, foreign, imported_by, modules

SERVICES = ("collector", "forecast", "decision", "console", "oncall")
HEAVY = {
    "pandas",
    "polars",
    "pyarrow",
    "deltalake",
    "mlflow",
    "sklearn",
    "evidently",
    "matplotlib",
    "pandera",
    "duckdb",
    "pyspark",
}
DOORS = {
    "mlflow": {"ml.registry"},
    "evidently": {"ml.drift.evidently_report"},
    "sklearn": {"ml.models.histogram_growth"},
    "deltalake": {"ml.delta", "ml.lake"},  # files, and rows
    "pandera": {"ml.quality"},
    "duckdb": {"ml.panel_check"},
    "pyspark": {"ml.spark_panel"},
}


def test_ml_imports_none_of_our_other_packages() -> None:
    offenders = {
        name: sorted(imported)
        for name in modules()
        if name.startswith("ml")
        and (imported := {i for i in imported_by(name) if i.partition(".")[0] in {"apps", "scripts"}})
    }
    assert offenders == {}


def test_a_service_imports_the_chassis_ml_and_of_another_service_only_its_schemas() -> None:
    offenders = []
    for name in modules():
        parts = name.split(".")
        if parts[0] != "apps" or len(parts) < 2:
            continue
        for imported in imported_by(name):
            target = imported.split(".")
            if target[0] == "scripts" and parts[1] != "console":  # it opens pull requests as promote does
                offenders.append((name, imported))
            other = target[0] == "apps" and len(target) > 1 and target[1] not in {parts[1], "chassis"}
            if other and target[2:] != ["schemas"]:
                offenders.append((name, imported))
    assert offenders == []


@pytest.mark.parametrize("library", sorted(DOORS))
def test_a_heavy_library_has_one_door(library: str) -> None:
    importers = {name for name in modules() if library in {i.partition(".")[0] for i in imported_by(name)}}
    assert importers == DOORS[library]


@pytest.mark.parametrize("service", SERVICES)
def test_a_serving_image_imports_no_heavy_library(service: str) -> None:
    assert foreign(closure(f"apps.{service}.main")) & HEAVY == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_serving_process_loads_nothing_heavy_by_way_of_another_library(service: str) -> None:
    code = f"import apps.{service}.main, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & (HEAVY | {"scipy", "lightgbm", "statsmodels"}) == set()


def test_the_closure_sees_a_heavy_library_where_there_is_one() -> None:
    """The control of the test above: training does import them."""
    assert {"polars", "mlflow"} <= foreign(closure("ml.training", "ml.registry", "ml.panel"))


def test_the_packages_of_scripts_stand_on_each_other_without_a_circle() -> None:
    list(TopologicalSorter(_parts({name: imported_by(name) for name in modules()})).static_order())


def test_a_circle_between_packages_is_seen() -> None:
    circle = {
        "scripts.check.case": {"scripts.audit.report"},
        "scripts.audit.report": {"scripts.check.people.Refused"},
    }
    with pytest.raises(CycleError):
        list(TopologicalSorter(_parts(circle)).static_order())


def _parts(imports: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Which part of `scripts`, a package or a module beside them, needs which others."""
    found: dict[str, set[str]] = {}
    for name, targets in imports.items():
        if name.startswith("scripts."):
            part = name.split(".")[1]
            needed = {target.split(".")[1] for target in targets if target.startswith("scripts.")}
            found.setdefault(part, set()).update(needed - {part})
    return found
