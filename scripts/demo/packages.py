"""What each package of the offer runs here; `environments/components/packages` are the same on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import httpx

from scripts.demo.local_services import Service

SERVICES: Final = {
    "base": ("forecast", "decision"),
    "collect": ("collector", "forecast", "decision", "console"),
    "operate": ("collector", "forecast", "decision", "console", "oncall"),
}
STEPS: Final = {"base": 12, "collect": 13, "operate": 14}
_YEAR_SECONDS: Final = 366 * 86_400
_ROTA: Final = """\
zone: {zone}
people:
  demo: {{name: Demo, mail: demo@shop.invalid}}
rotas:
  first: {{from: 2026-11-30, at: "09:00", people: [demo]}}
office:
  days: [monday, tuesday, wednesday, thursday, friday]
  from: "09:00"
  until: "18:00"
policies:
  page: {{levels: [{{who: first, wait: 5m}}], rounds: 1}}
  ticket: {{levels: [{{who: first, wait: 8h}}], rounds: 1}}
"""


def oncall_service(state: Path, port: int, key: str, console: str, zone: str) -> Service:
    """The on-call service on files of its own; no mail leaves this machine and no Alertmanager beats here."""
    rota = state / "rota.yaml"
    rota.write_text(_ROTA.format(zone=zone))
    variables = {
        "ONCALL_ROTA": str(rota),
        "ONCALL_DATABASE": str(state / "oncall.sqlite"),
        "ONCALL_ALERT_TOKEN": key,
        "ONCALL_API_KEY": key,
        "ONCALL_SMTP_HOST": "127.0.0.1",
        "ONCALL_SMTP_PORT": "9",
        "ONCALL_SMTP_SECURITY": "plain",
        "ONCALL_MAIL_FROM": "oncall@shop.invalid",
        "ONCALL_CONSOLE_URL": console,
        "ONCALL_HEARTBEAT_SECONDS": str(_YEAR_SECONDS),
        "ONCALL_RETRY_SECONDS": "300",
    }
    return Service("oncall", "apps.oncall", port, variables)


def settled(url: str, key: str, number: int) -> str:
    """What became of an incident that a person acknowledged and then resolved."""
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=10) as client:
        for verb in ("acknowledge", "resolve"):
            answer = client.post(f"/incidents/{number}/{verb}", json={"note": "seen in the demo"})
        return str(answer.raise_for_status().json()["status"])
