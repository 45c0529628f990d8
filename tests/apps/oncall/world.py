"""A rota, a clock that stands where it is put, and notifications as Alertmanager sends them."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from pydantic import SecretStr

from apps.oncall.database import Database
from apps.oncall.settings import OncallSettings
from ml.inbox_location import Password

TOKEN, KEY = "alertmanagers-token", "a-key-of-a-person"
MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # noon in Istanbul


def rota(folder: Path) -> dict[str, Any]:
    """Three people, two rotas, two channels; the files of the channels' addresses are in `folder`."""
    return {
        "zone": "Europe/Istanbul",
        "people": {
            name: {"name": name.title(), "mail": f"{name}@shop.example"} for name in ("ayse", "deniz", "can")
        },
        "channels": {
            kind: {"kind": kind, "url_file": str(folder / f"{kind}.url")} for kind in ("slack", "webhook")
        },
        "rotas": {
            "first": {"from": "2026-11-23", "at": "09:00", "people": ["ayse", "deniz"]},
            "second": {"from": "2026-11-23", "at": "09:00", "people": ["deniz", "ayse"]},
        },
        "office": {"days": ["monday", "tuesday"], "from": "08:00", "until": "18:00"},
        "policies": {
            "page": {
                "levels": [
                    {"who": "first", "also": ["slack"], "wait": "5m"},
                    {"who": "second", "wait": "10m"},
                    {"who": "can", "wait": "30m"},
                ],
                "rounds": 2,
            },
            "ticket": {
                "hours": "office",
                "levels": [{"who": "first", "wait": "8h"}, {"who": "can", "wait": "8h"}],
            },
        },
    }


def written(folder: Path, content: Any | None = None) -> Path:
    """The file of a rota."""
    file = folder / "rota.yaml"
    file.write_text(yaml.safe_dump(rota(folder) if content is None else content))
    return file


def settings(folder: Path, **given: Any) -> OncallSettings:
    """Of a service whose files are in `folder`."""
    values: dict[str, Any] = {
        "rota": written(folder) if not (folder / "rota.yaml").exists() else folder / "rota.yaml",
        "database": folder / "oncall.sqlite",
        "alert_token": SecretStr(TOKEN),
        "api_key": SecretStr(KEY),
        "smtp_host": "127.0.0.1",
        "smtp_security": "plain",
        "mail_from": "oncall@shop.example",
    }
    return OncallSettings(**values | given)


def alert(fingerprint: str = "f1", *, status: str = "firing", **labels: str) -> dict[str, Any]:
    """One alert of a notification."""
    return {
        "status": status,
        "labels": {"alertname": "ServiceDown", "service": "forecast", **labels},
        "annotations": {
            "summary": "No pod answers",
            "runbook_url": "https://git.example.com/runbook#ServiceDown",
        },
        "startsAt": "2026-11-23T08:59:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": fingerprint,
    }


def group(*alerts: dict[str, Any], key: str = "g1", truncated: int = 0) -> dict[str, Any]:
    """A notification, version 4."""
    sent: Sequence[dict[str, Any]] = alerts or (alert(),)
    firing = any(each["status"] == "firing" for each in sent)
    return {
        "version": "4",
        "groupKey": key,
        "truncatedAlerts": truncated,
        "status": "firing" if firing else "resolved",
        "receiver": "on-call",
        "groupLabels": {"alertname": "ServiceDown"},
        "commonLabels": {"alertname": "ServiceDown", "service": "forecast", "severity": "page"},
        "commonAnnotations": sent[0]["annotations"],
        "externalURL": "http://alertmanager",
        "alerts": list(sent),
    }


@cache
def _empty() -> bytes:
    """A database with its tables; making them takes a third of a second."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "oncall.sqlite"
        database = Database(file, Password())
        with database.writing():
            pass
        database.close()
        with closing(sqlite3.connect(file)) as raw:
            raw.execute("PRAGMA journal_mode=DELETE")
        return file.read_bytes()


def database(folder: Path) -> Database:
    """The database of `folder`, with its tables from the start."""
    file = folder / "oncall.sqlite"
    if not file.exists():
        file.write_bytes(_empty())
    return Database(file, Password())


class Clock:
    """Stands at a moment until it is moved."""

    def __init__(self, now: datetime = MONDAY) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def go(self, **time: float) -> None:
        """Forward."""
        self.now += timedelta(**time)
