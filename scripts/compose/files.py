"""What the containers are given as files: secrets, made once, and what the cluster's own files say, in their form."""

import json
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from scripts.errors import Broken
from scripts.observability import rules
from scripts.observability.__main__ import dumped
from scripts.observability.objectives import FILE, Objectives, read

ROOT = Path(__file__).parents[2]
ENVIRONMENT = "local"
CONSOLE_USER = "compose"
RANDOM = (
    "collector_api_key",
    "console_session_key",
    "database_password",
    "forecast_api_key",
    "grafana_password",
    "inbox_password",
    "oncall_alert_token",
    "oncall_api_key",
    "oncall_password",
    "pseudonym_key",
    "registry_password",
)
"""Secrets that are 256 random bits."""

_READ_BY_CONTAINERS, _READ_BY_OWNER = 0o444, 0o400  # their folder lets nobody else through


def write(state: Path) -> None:
    """Fill the folder that containers read: secrets that are missing, and configuration as it is now."""
    folder = state / "secrets"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in RANDOM:
        if not (folder / name).exists():
            _put(folder / name, secrets.token_urlsafe(32))
    if not (folder / "console_users").exists():
        password, line = _console_user()
        _put(folder / "console_password", password, _READ_BY_OWNER)
        _put(folder / "console_users", line)
    if not (folder / "oncall_keys").exists():
        key, line = _console_key()
        _put(folder / "console_oncall_key", key)
        _put(folder / "oncall_keys", line)
    slo = _here(read(FILE.read_text()))
    prometheus = state / "prometheus"
    prometheus.mkdir(exist_ok=True)
    (prometheus / "rules.yml").write_text(dumped({"groups": rules.groups(slo)}))
    (prometheus / "prometheus.yml").write_text(dumped(scraped(slo)))
    rota = yaml.safe_load((ROOT / "environments/base/oncall/rota.yaml").read_text())
    (state / "rota.yaml").write_text(rota["data"]["rota.yaml"])


def scraped(slo: Objectives) -> dict[str, Any]:
    """Prometheus' configuration: each service as the cluster's PodMonitor and probe see it, under the same labels."""
    targets = [_target(name, port) for _, name, port in slo.asked]
    dropped = {"action": "drop", "source_labels": ["__name__"], "regex": ".+"}
    return {
        "global": {"scrape_interval": "15s", "scrape_timeout": "5s", "evaluation_interval": "15s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]},
        "scrape_configs": [
            {"job_name": "services", "static_configs": targets},
            {"job_name": rules.PROBE, "static_configs": targets, "metric_relabel_configs": [dropped]},
        ],
    }


def _here(slo: Objectives) -> Objectives:
    """The cluster's objectives with one environment, where every service runs."""
    services = {name: each.model_copy(update={"environments": None}) for name, each in slo.services.items()}
    return slo.model_copy(update={"environments": [ENVIRONMENT], "services": services})


def _target(name: str, port: int) -> dict[str, Any]:
    labels = {
        "namespace": f"purchase-prediction-{ENVIRONMENT}",
        "environment": ENVIRONMENT,
        "app_kubernetes_io_name": name,
        "pod": name,
    }
    return {"targets": [f"{name}:{port}"], "labels": labels}


def _put(path: Path, content: str, mode: int = _READ_BY_CONTAINERS) -> None:
    """Whole or not at all, and never readable by others before it has its mode."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(content)
    new.chmod(mode)
    new.replace(path)


def _console_user() -> tuple[str, str]:
    made = _printed("apps.console", "user", "--name", CONSOLE_USER, "--role", "controller")
    return made["password"], made["line"]


def _console_key() -> tuple[str, str]:
    options = ("--source", "console", "--environment", ENVIRONMENT, "--role", "controller")
    made = _printed("apps.collector", "key", *options)
    return made["key"], made["line"]


def _printed(module: str, *arguments: str) -> dict[str, str]:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(f"{module} {arguments[0]}: {done.stderr.strip()}")
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def forget(state: Path) -> None:
    """Remove what `write` made; without the volumes that the secrets open they open nothing."""
    shutil.rmtree(state, ignore_errors=True)
