"""Where a row of the panel or a model came from."""

import re
import sys
from argparse import Namespace
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from ml.bundle import unpack
from ml.errors import BadQuestion, ModelNotFound
from ml.lake import Lake
from ml.lineage import model_lineage, row_lineage
from ml.model_store import ModelStore
from ml.open_inbox import open_inbox
from ml.registry import Registry
from ml.settings import MlSettings
from ml.verbs import Answer


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Of a row: yes if its events add up to it. Of a model: yes if its data can be made again from its events."""
    if options.model:
        found = _model(options.model, settings)
        answer = Answer(found, yes=found["reproducible"])
    elif options.product and options.month:
        found = _row(options, settings)
        answer = Answer(found, yes=found["agrees"])
    else:
        raise BadQuestion("say --product ID --month YYYY-MM, or --model VERSION")
    if options.table:
        print(_table(found), file=sys.stderr)  # noqa: T201 - for people, who asked for it
    return answer


def _row(options: Namespace, settings: MlSettings) -> dict[str, Any]:
    there = not isinstance(settings.inbox, Path) or settings.inbox.exists()
    with ExitStack() as opened:
        inbox = None
        if there:
            inbox = opened.enter_context(
                closing(open_inbox(settings.inbox, settings.inbox_login, create=False))
            )
        return row_lineage(
            Lake(settings.lake),
            inbox,
            settings.shop_zone,
            options.product,
            options.month,
            data_version=options.data_version,
            limit=options.limit,
        )


def _model(wanted: str, settings: MlSettings) -> dict[str, Any]:
    """A registered version by number or alias, or a stored bundle by its sha256."""
    version = None if re.fullmatch("[0-9a-f]{64}", wanted) else Registry(settings).resolve(wanted)
    sha256 = wanted if version is None else version.sha256
    try:
        manifest = unpack(ModelStore.of(settings).get_bundle(sha256), sha256).manifest
    except ModelNotFound:
        if version is None:
            raise
        return {
            "model": {"version": version.version, "sha256": sha256, "candidate": version.candidate},
            **model_lineage(Lake(settings.lake), version.data_version, None),
        }
    model = {
        "version": version and version.version,
        "sha256": sha256,
        "candidate": manifest.candidate,
        "code_commit": manifest.code_commit,
        "last_month": manifest.last_month,
    }
    return {"model": model, **model_lineage(Lake(settings.lake), manifest.data_version, manifest.data_digest)}


def _table(found: Mapping[str, Any]) -> str:
    """Short, for people: what is a list of events is one line each, the rest is a name and a value."""
    lines = [f"{name:<16}{value}" for name, value in found.items() if not isinstance(value, list)]
    for event in [*found.get("events", []), *found.get("returns_booked", [])]:
        when = event["occurred_at"][:16]
        lines.append(
            f"  {when}  {event['event_type']:<9}{event['quantity']:>6}  {event['event_id']:<34}"
            f"  {event['source']}  accepted {event['accepted_at'] or 'unknown'}"
        )
    return "\n".join(lines)
