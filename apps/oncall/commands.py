"""The command lines of the on-call service, for who writes the rota and who tries the alarm."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from apps.chassis.settings import BadSettings
from apps.oncall import trail
from apps.oncall.rota import Rota
from apps.oncall.rota_file import read_rota
from apps.oncall.schedule import escalation

YES, NO, BROKE = 0, 1, 70
_TIMEOUT_SECONDS = 15.0
_EPILOG = """\
examples:
  is the file right?             python -m apps.oncall check rota.yaml
  who hears of a page at night?  python -m apps.oncall whois rota.yaml --at 2026-12-01T03:00+03:00 --severity page
  does an alarm reach me?        ONCALL_ALERT_TOKEN=... python -m apps.oncall test-page --url http://oncall:8004
  was the trail changed?         curl -H "X-API-Key: $KEY" http://oncall:8004/trail | python -m apps.oncall verify -
Without a command the service runs; its settings are variables that begin with ONCALL_.
stdout is one JSON object; exit code 0 yes, 1 no, 70 something broke.
"""
Answer = tuple[int, Mapping[str, Any]]


def main(arguments: Sequence[str]) -> int:
    """Run a command and print its answer; the exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], Answer] = options.command
    try:
        code, answer = command(options)
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return BROKE
    sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    return code


def _check(options: argparse.Namespace) -> Answer:
    try:
        rota = read_rota(options.rota)
    except BadSettings as error:
        return NO, {"ok": False, "reason": str(error)}
    counts = {"people": len(rota.people), "channels": len(rota.channels), "rotas": len(rota.rotas)}
    return YES, {"ok": True, **counts, "unused": sorted(_unused(rota))}


def _unused(rota: Rota) -> set[str]:
    """People, rotas and channels that no policy ever reaches."""
    levels = [*rota.policies.page.levels, *rota.policies.ticket.levels]
    named = {level.who for level in levels}.union(*(level.also for level in levels))
    for name, weekly in rota.rotas.items():
        if name in named:
            named |= {*weekly.people, *(override.person for override in weekly.overrides)}
    return {*rota.people, *rota.rotas, *rota.channels} - named


def _whois(options: argparse.Namespace) -> Answer:
    try:
        rota = read_rota(options.rota)
    except BadSettings as error:
        return NO, {"ok": False, "reason": str(error)}
    at = options.at or datetime.now(UTC)
    at = at if at.tzinfo else rota.instant(at)
    levels = [
        {
            "level": told.level,
            "who": told.who,
            "person": told.person,
            "name": rota.people[told.person].name,
            "mail": rota.people[told.person].mail,
            "told_at": told.at.astimezone(rota.zone).isoformat(),
        }
        for told in escalation(rota, options.severity, at)
    ]
    return YES, {"at": at.isoformat(), "severity": options.severity, "levels": levels}


def _test_page(options: argparse.Namespace) -> Answer:
    """A notification as Alertmanager sends it; people end the incident as any other."""
    token = os.environ.get("ONCALL_ALERT_TOKEN")
    if not token:
        return NO, {"ok": False, "reason": "ONCALL_ALERT_TOKEN is not set; it holds Alertmanager's token"}
    drill = uuid4().hex[:12]
    labels = {"alertname": "Drill", "severity": options.severity, "drill": drill}
    annotations = {"summary": "This is a drill: acknowledge it, then resolve it"}
    alert = {"status": "firing", "labels": labels, "annotations": annotations, "fingerprint": drill}
    group = {
        "groupKey": f"drill:{drill}",
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "alerts": [alert],
    }
    answer = httpx.post(
        f"{options.url.rstrip('/')}/alerts/{options.severity}",
        json=group,
        headers={"Authorization": f"Bearer {token}"},
        timeout=_TIMEOUT_SECONDS,
        trust_env=False,
    )
    if not answer.is_success:
        return NO, {"ok": False, "status": answer.status_code, "reason": answer.text[:500]}
    return YES, {"ok": True, "incident": answer.json()["incident"], "drill": drill}


def _verify(options: argparse.Namespace) -> Answer:
    text = sys.stdin.read() if options.export == "-" else Path(options.export).read_text()
    lines = text.splitlines()
    broken = trail.verify(lines)
    if broken is not None:
        return NO, {"ok": False, "line": broken.line, "reason": broken.reason}
    last = json.loads(lines[-1])["sha256"] if lines else trail.BEGINNING
    return YES, {"ok": True, "entries": len(lines), "last_sha256": last}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m apps.oncall",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], Answer], help_: str
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help_, description=help_)
        made.set_defaults(command=command)
        return made

    check = add("check", _check, "read a rota and say what is wrong with it")
    whois = add("whois", _whois, "who is told of an incident that begins at a moment, level by level")
    for command in (check, whois):
        command.add_argument("rota", type=Path, help="the YAML file")
    whois.add_argument(
        "--at",
        type=datetime.fromisoformat,
        metavar="TIME",
        help="ISO 8601; of the rota's zone without offset [now]",
    )
    drill = add("test-page", _test_page, "send a drill by the way that Alertmanager takes")
    drill.add_argument("--url", default="http://127.0.0.1:8004", help="the service [%(default)s]")
    for command in (whois, drill):
        command.add_argument("--severity", choices=("page", "ticket"), default="page")
    verify = add("verify", _verify, "whether an export of the trail is as it was written")
    verify.add_argument("export", help="file with the lines of GET /trail from the first on, or -")
    return parser
