"""`python -m scripts.backup`: everything that Git does not have, into a folder or S3, and back by one command."""

import argparse
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from ml.errors import MlError, StoreUnavailable
from ml.inbox_location import DatabaseUrl, inbox_location
from ml.settings import MlSettings
from scripts.backup import parts
from scripts.backup.places import Backup, Unfinished, copied, files_at, names
from scripts.errors import Refused

YES, NO, BROKEN = 0, 1, 70
_LOG = logging.getLogger("backup")
_EXAMPLES = """examples:
  python -m scripts.backup make --to /backups                     inbox, registry, model store and lake of ML_STATE
  python -m scripts.backup make --to s3://BUCKET/PREFIX --database oncall=postgresql://oncall@database/oncall
  python -m scripts.backup copy --from /backups --to s3://BUCKET        the newest to another place, read back there
  python -m scripts.backup list --at /backups                     finished backups; one without a manifest is none
  python -m scripts.backup check --at /backups                    read the newest whole and compare every digest
  ML_STATE=/empty python -m scripts.backup restore --from /backups      the newest, into places that are empty

Places are those of the pipeline: ML_STATE, ML_INBOX, ML_MODEL_STORE, ML_TRACKING_URI. A registry behind a server is
its database and its artifacts: --database registry=postgresql://… --place artifacts=s3://…. PostgreSQL wants its
client's programs, and PGPASSWORD or PGPASSFILE for --database.
The key of the pseudonyms is a secret and not in a backup: keep it where secrets are kept.

stdout is one JSON object, stderr the log. Exit code 0 is yes, 1 a no whose reason is in the JSON, 70 broken.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; the exit code comes back."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        options = parser().parse_args(arguments)
        told, code = (
            {"make": _make, "copy": _copy, "list": _list, "check": _check, "restore": _restore}[options.verb](
                options
            ),
            YES,
        )
    except StoreUnavailable as error:
        told, code = {"error": str(error), "reason": "unavailable"}, BROKEN
    except Refused as error:
        told, code = {"error": str(error), "reason": error.reason}, NO
    except MlError as error:
        told, code = {"error": str(error), "reason": type(error).__name__}, NO
    except Exception as error:  # noqa: BLE001 - a workflow must tell what broke from what was refused
        _LOG.exception("broke")
        told, code = {"error": f"{type(error).__name__}: {error}", "reason": "broke"}, BROKEN
    print(json.dumps(told, ensure_ascii=False))
    return code


def _make(options: argparse.Namespace) -> dict[str, Any]:
    files, name = files_at(options.to), f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    unfinished = Unfinished(files, name)
    parts.make(MlSettings(), _others(options), unfinished, _tell)
    unfinished.finish()
    return parts.shown(Backup(files, name))


def _others(options: argparse.Namespace) -> parts.Others:
    return parts.Others(dict(options.database), dict(options.place))


def _copy(options: argparse.Namespace) -> dict[str, Any]:
    return parts.shown(copied(Backup(files_at(options.source), options.name), files_at(options.to)))


def _list(options: argparse.Namespace) -> dict[str, Any]:
    return {"backups": names(files_at(options.at))}


def _check(options: argparse.Namespace) -> dict[str, Any]:
    backup = Backup(files_at(options.at), options.name)
    for name in backup.manifest.files:
        backup.read(name)
    return parts.shown(backup)


def _restore(options: argparse.Namespace) -> dict[str, Any]:
    backup = Backup(files_at(options.source), options.name)
    parts.restore(MlSettings(), _others(options), backup, _tell)
    return parts.shown(backup)


def _tell(part: str) -> None:
    _LOG.info("%s done", part)


def parser() -> argparse.ArgumentParser:
    """Every verb with its options."""
    top = argparse.ArgumentParser(
        prog="python -m scripts.backup",
        description="Copies of the inbox, the registry, the model store and the lake, and the way back.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    place = "folder or s3://BUCKET/PREFIX of backups"
    make = verbs.add_parser("make", help="make a backup; the platform goes on meanwhile")
    make.add_argument("--to", required=True, metavar="PLACE", help=place)
    listed = verbs.add_parser("list", help="names of finished backups")
    check = verbs.add_parser("check", help="whether a backup is whole")
    restore = verbs.add_parser("restore", help="bring a backup back; refuses a place that is not empty")
    copy = verbs.add_parser("copy", help="bring a backup to another place, and read it back there")
    copy.add_argument("--to", required=True, metavar="PLACE", help=place)
    for one in (restore, copy):
        one.add_argument("--from", dest="source", required=True, metavar="PLACE", help=place)
    for one in (listed, check):
        one.add_argument("--at", required=True, metavar="PLACE", help=place)
    for one in (check, restore, copy):
        one.add_argument("--name", help="of a backup [the newest]")
    for one in (make, restore):
        one.add_argument(
            "--database",
            type=_database,
            action="append",
            default=[],
            metavar="NAME=URL",
            help="a further PostgreSQL database",
        )
        one.add_argument(
            "--place",
            type=_place,
            action="append",
            default=[],
            metavar="NAME=PLACE",
            help="a further folder or s3://BUCKET/PREFIX",
        )
    return top


def _database(text: str) -> tuple[str, DatabaseUrl]:
    name, _, url = text.partition("=")
    where = inbox_location(url)
    if not name.isidentifier() or not isinstance(where, DatabaseUrl):
        raise ValueError(text)
    return name, where


def _place(text: str) -> tuple[str, str]:
    name, _, place = text.partition("=")
    if not name.isidentifier() or not place:
        raise ValueError(text)
    return name, place


if __name__ == "__main__":
    sys.exit(main())
