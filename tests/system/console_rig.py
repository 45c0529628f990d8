"""A console in front of a small shop, with something on every page; each service is a process of its own."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from apps.chassis.keys import Role
from apps.console.users import User
from ml.group_forecasts import group_forecasts
from ml.model_store import DRIFT, QUALITY, ModelStore
from tests.apps.console.repository import evidence, promoted, release
from tests.apps.forecast.store import VERSION, stored_shop
from tests.apps.process import listener, running

PRODUCT = "P0003"
AT = "2026-11-05T03:30:00+00:00"
TOLD = [
    {"month": f"2025-{month:02}", "model_version": VERSION, "mean": 3.5 + month / 7, "p10": 1, "p90": 9}
    for month in range(7, 13)
]
JUMP = {"name": "price_jumps", "verdict": "fail", "value": 0.9, "threshold": 0.1, "reason": "90 % jump"}
QUALITY_REPORT = {
    "verdict": "fail",
    "data_version": "2025-12.0123456789ab",
    "created_at": AT,
    "as_of": AT,
    "checks": [JUMP | {"count": 1, "rows": [{"event_id": "e1", "price_cents": 127_300}]}],
    "history": [{"verdict": "warn", "data_version": None, "created_at": AT}],
}
COLUMN = {"kind": "location", "label": "", "window": 1, "p_value": 0.001, "drifted": True}
DRIFT_REPORT = {
    "period": "2025-12",
    "answer": "drift",
    "episode": "2025-12",
    "retrain": True,
    "model_version": VERSION,
    "created_at": AT,
    "false_alarms": 0.012,
    "report": {
        "reason": "volume is off",
        "features": ["shop:volume"],
        "findings": [{"name": "shop:volume", "effect": 0.6, "floor": 0.2, "p_value": 0.01, "drifted": True}],
        "parts": {
            "forecasts": "drift",
            "inputs": {
                "answer": "drift",
                "findings": [COLUMN | {"column": "views", "effect": 1.2, "corrected": 0.002}],
            },
            "residuals": {
                "answer": "drift",
                "charts": [{"name": "errors grew", "effect": 0.31, "total": 3.0, "limit": 2.0}],
            },
        },
    },
    "history": [{"period": "2025-11", "answer": "no drift", "model_version": VERSION}],
}


@dataclass(frozen=True)
class Rig:
    """Where the console is, who may sign in, and the processes of the services."""

    url: str
    name: str
    password: str
    processes: tuple[psutil.Process, ...]

    def cpu_seconds(self) -> float:
        """What the services used so far, with what they started, such as git."""
        return sum(sum(process.cpu_times()[:4]) for process in self.processes)


@contextmanager
def console_rig(folder: Path) -> Iterator[Rig]:
    """The console with forecast and decision service; of the others it says that they do not answer."""
    shop = stored_shop(folder / "store")
    shop.write_snapshot(groups=group_forecasts, told={PRODUCT: TOLD})
    store = ModelStore(shop.root)
    store.put_report(QUALITY, json.dumps(QUALITY_REPORT).encode())
    store.put_report(DRIFT, json.dumps(DRIFT_REPORT).encode())
    forge = promoted(folder / "repository.git")
    values = release(VERSION) | {"model_sha256": shop.model_sha256}
    forge.release("local: model 3", values, {f"evidence/{VERSION}-9c0d7e2.json": evidence("mix")})
    user, password = User.with_password("connie", frozenset({Role.controller}))
    (folder / "users.jsonl").write_text(user.model_dump_json() + "\n")
    with ExitStack() as stack:
        processes = []

        def start(module: str, variables: dict[str, str]) -> str:
            process = stack.enter_context(running(module, variables, stack.enter_context(listener())))
            processes.append(psutil.Process(process.popen.pid))
            return process.url

        forecast = start("apps.forecast", shop.variables())
        decision = start("apps.decision", {"DECISION_FORECAST_URL": forecast})
        variables = {
            "CONSOLE_FORECAST_URL": forecast,
            "CONSOLE_DECISION_URL": decision,
            "CONSOLE_REPOSITORY": str(forge.path),
            "CONSOLE_USERS_FILE": str(folder / "users.jsonl"),
            "CONSOLE_FORGE": str(forge.path),
        }
        url = start("apps.console", variables)
        yield Rig(url, user.name, password, tuple(processes))
