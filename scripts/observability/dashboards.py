"""Grafana dashboards of boards.yaml: plain JSON that Grafana's sidecar reads from ConfigMaps.

The JSON is Grafana's dashboard model, schema version 39, which Grafana 11 and newer read.
"""

from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from scripts.errors import Refused
from scripts.observability.objectives import FOLDER

FILE = FOLDER / "boards.yaml"

_SCHEMA = 39
_COLUMNS, _WIDTH, _HEIGHT = 24, 8, 8
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Panel(BaseModel):
    """One picture of one query; `unit` is Grafana's name of it, `note` what a reader should know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    expr: str
    legend: str
    unit: str = "short"
    kind: Literal["timeseries", "stat", "table"] = "timeseries"
    note: str = ""


_BOARDS = TypeAdapter(dict[str, list[Panel]])


def read(text: str) -> dict[str, list[Panel]]:
    """The panels of each board.

    Raises:
        Refused: The text is not a list of panels for each board.
    """
    try:
        return _BOARDS.validate_python(yaml.safe_load(text))
    except (ValidationError, yaml.YAMLError) as error:
        raise Refused("bad_boards", str(error)) from None


def board(name: str, panels: list[Panel]) -> dict[str, Any]:
    """One dashboard as Grafana's JSON."""
    return {
        "uid": f"purchase-prediction-{name}",
        "title": f"Purchase prediction: {name}",
        "tags": ["purchase-prediction"],
        "schemaVersion": _SCHEMA,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _variables() -> list[dict[str, Any]]:
    namespaces = {
        "name": "namespace",
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": "label_values(up, namespace)", "refId": "namespaces"},
        "regex": "/purchase-prediction-.+/",
        "refresh": 2,
        "includeAll": True,
        "allValue": ".+",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }
    return [{"name": "datasource", "type": "datasource", "query": "prometheus"}, namespaces]


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS // _WIDTH)
    target: dict[str, Any] = {
        "refId": "A",
        "datasource": _DATASOURCE,
        "expr": panel.expr,
        "legendFormat": panel.legend,
    }
    if panel.kind == "table":
        target |= {"format": "table", "instant": True}
    return {
        "id": number + 1,
        "title": panel.title,
        "description": panel.note,
        "type": panel.kind,
        "datasource": _DATASOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [target],
    }
