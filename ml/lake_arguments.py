"""The verbs of `python -m ml` that look after the lake or ask it where something came from; loads nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ml import argument

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - the type has no public name

COMPACT = """\
Merge the small files of each partition of each table. The rows stay what they were, and older versions stay readable
until `retain`. Safe beside an ingest, which waits for its turn.
"""
RETAIN = """\
Remove files that no version of the newest days and no kept data version needs. Kept are those of --keep, those of
--keep-file (the JSON of `python -m scripts.promote kept`: what live and held-back releases were trained on) and those
of the registry's champion and challenger. A name that the lake does not know stops it before anything is removed.
"""
ERASE = """\
Make the events of one customer anonymous in lake and inbox, and remove every file that had them, also of older
versions. Units sold stay, without customer, session, order, id and time of day. The answer names the data versions that
cannot be built from their events any more. Run it again until it says yes; a second erasure of the same finds nothing.

The customer's id is read from a file or from stdin, so that it stays out of the shell's history:

  python -m ml erase --customer-file id.txt
  python -m ml erase --customer-file - < id.txt

See docs/privacy.md.
"""
LINEAGE = """\
Where something came from, as JSON:

  python -m ml lineage --product 85123A --month 2026-10     the events behind a row of the panel
  python -m ml lineage --model 12                           what a registered model was trained on; exit code 1 when it
  python -m ml lineage --model SHA256                       cannot be trained again on the same data
"""
SERVED = """\
What the forecast service served, as its pods count it with FORECAST_SERVED_STORE: forecasts by model and snapshot, of
each how often products were asked for by their id, were on a page, and how many histories were forecast live.

  python -m ml served --store s3://served/production --since 2026-11-01

Exit code 1 when a file could not be read: the sums are then too small, and the JSON names it.
"""
QUARANTINE = "Which rows were refused: how many by reason and source, and examples of them."


def add(verbs: Verbs) -> None:
    """The verbs and their options."""
    _compact(verbs)
    _retain(verbs)
    _erase(verbs)
    _lineage(verbs)
    _quarantine(verbs)
    _served(verbs)


def _compact(verbs: Verbs) -> None:
    verb = _verb(verbs, "compact", "merge the lake's small files", COMPACT)
    verb.add_argument(
        "--target-mib",
        type=argument.positive,
        default=128,
        metavar="MIB",
        help="size of the files to make (default: 128)",
    )


def _retain(verbs: Verbs) -> None:
    verb = _verb(verbs, "retain", "remove files of the lake that nobody needs any more", RETAIN)
    verb.add_argument(
        "--keep", action="append", default=[], metavar="DATA_VERSION", help="stays readable; can be repeated"
    )
    verb.add_argument(
        "--keep-file", type=Path, metavar="FILE", help='JSON with a list "keep" of data versions'
    )
    verb.add_argument(
        "--days",
        type=argument.whole,
        default=30,
        metavar="N",
        help="versions of the newest days stay (default: 30)",
    )
    verb.add_argument(
        "--ignore-unknown",
        action="store_true",
        help="go on without data versions that the lake does not have",
    )


def _erase(verbs: Verbs) -> None:
    verb = _verb(verbs, "erase", "make the events of one customer anonymous", ERASE)
    verb.add_argument(
        "--customer-file",
        type=Path,
        required=True,
        metavar="FILE",
        help="holds the id as the shop writes it, or its pseudonym; - is stdin",
    )


def _lineage(verbs: Verbs) -> None:
    verb = _verb(verbs, "lineage", "where a row of the panel or a model came from", LINEAGE)
    verb.add_argument("--product", metavar="ID", help="with --month: a row of the panel")
    verb.add_argument("--month", type=argument.month, metavar="YYYY-MM")
    verb.add_argument("--data-version", metavar="NAME", help="the panel of this one instead of the newest")
    verb.add_argument(
        "--limit", type=argument.positive, default=1000, metavar="N", help="events to list (1000)"
    )
    verb.add_argument("--model", metavar="VERSION", help="number, champion, challenger or sha256")
    verb.add_argument("--table", action="store_true", help="also print a table for people on stderr")


def _quarantine(verbs: Verbs) -> None:
    verb = _verb(verbs, "quarantine", "refused rows by reason and source, with examples", QUARANTINE)
    verb.add_argument("--reason", metavar="REASON", help="only these")
    verb.add_argument("--source", metavar="SOURCE", help="only of this file, or `inbox`")
    verb.add_argument("--examples", type=argument.positive, default=3, metavar="N", help="of each reason (3)")


def _served(verbs: Verbs) -> None:
    verb = _verb(verbs, "served", "what the forecast service served, by model and snapshot", SERVED)
    verb.add_argument(
        "--store",
        type=argument.place,
        required=True,
        metavar="PLACE",
        help="folder or s3://BUCKET/PREFIX that the pods write to",
    )
    verb.add_argument(
        "--since",
        type=argument.day,
        metavar="YYYY-MM-DD",
        help="only what was written from this day on (UTC)",
    )
    verb.add_argument(
        "--products", type=argument.whole, default=10, metavar="N", help="of those asked for most (10)"
    )


def _verb(verbs: Verbs, name: str, does: str, description: str) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name, help=does, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
