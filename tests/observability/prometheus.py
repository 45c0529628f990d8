"""A real Prometheus over addresses of this machine, with the committed rules at a quick pace."""

import copy
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.observability.promtool import groups
from tests.scripts.free_port import free_port

NAMESPACE = "purchase-prediction-local"


def quick(seconds: float = 1) -> list[dict[str, Any]]:
    """The committed groups, each judged every second, with waits of at most a second."""
    found = copy.deepcopy(groups())
    for group in found:
        group["interval"] = f"{seconds:g}s"
        for rule in group["rules"]:
            if rule.get("for", "0s") != "0s":
                rule["for"] = f"{seconds:g}s"
    return found


class Prometheus:
    """A process in a folder of its own.

    Args:
        services: Address of each service by its name; scraped as a pod and asked as the probe does.
        alertmanager: Address of who is told.
        rules: Its rule groups.
    """

    def __init__(
        self,
        folder: Path,
        services: Mapping[str, str],
        rules: Iterable[Mapping[str, Any]],
        alertmanager: str | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rules.yml").write_text(yaml.safe_dump({"groups": list(rules)}))
        labels = {
            name: {"namespace": NAMESPACE, "app_kubernetes_io_name": name, "pod": f"{name}-1"}
            for name in services
        }
        targets = [{"targets": [address], "labels": labels[name]} for name, address in services.items()]
        dropped = {"action": "drop", "source_labels": ["__name__"], "regex": ".+"}
        config: dict[str, Any] = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "900ms"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": "services", "static_configs": targets},
                {"job_name": "probe", "static_configs": targets, "metric_relabel_configs": [dropped]},
            ],
        }
        if alertmanager:
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--rules.alert.resend-delay=1s",  # what fired before it knew of Alertmanager is told soon
                "--log.level=error",
            ]
        )

    def ask(self, query: str) -> list[dict[str, Any]]:
        """What a query finds now; nothing while the server starts."""
        try:
            answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}).json()
        except (httpx.HTTPError, ValueError):
            return []
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(timeout=20)


def until(happened: Callable[[], object], seconds: float = 60) -> float:
    """Seconds until it happened."""
    begun = time.monotonic()
    while not happened():
        assert time.monotonic() - begun < seconds
        time.sleep(0.1)
    return time.monotonic() - begun
