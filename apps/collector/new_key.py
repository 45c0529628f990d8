"""Makes an API key: the key itself for its sender, once, and the line with its hash for the file of keys."""

import argparse
import json
import secrets
import sys
from collections.abc import Sequence
from datetime import datetime

from pydantic import ValidationError

from apps.chassis.keys import Role, StoredKey, digest
from apps.chassis.problems import field_path

REFUSED = 1
_EPILOG = """\
examples:
  a shop's server:  python -m apps.collector key --source web --environment staging
  a shop's pages:   python -m apps.collector key --source web --environment production --role browser \\
                      --origin https://shop.example
  a reader:         python -m apps.collector key --source planning --environment staging --role viewer
Give `key` to the sender: it is shown this once. Add `line` to the file that COLLECTOR_KEYS_FILE names, or for a reader
FORECAST_KEYS_FILE and DECISION_KEYS_FILE; the service reads it again by itself. To rotate, add the new line, move the
sender over, then delete the old line: until then both work.
stdout is one JSON object; exit code 0, or 1 when the values make no key.
"""


def main(arguments: Sequence[str], prog: str) -> int:
    """Print a new key and its line; the exit code."""
    options = _parser(prog).parse_args(arguments)
    key = f"pp_{secrets.token_urlsafe(32)}"
    try:
        line = StoredKey(
            sha256=digest(key),
            source=options.source,
            environment=options.environment,
            roles=frozenset(options.role or [Role.sender]),
            origins=frozenset(options.origin),
            not_before=options.not_before,
            not_after=options.not_after,
            requests_per_second=options.requests_per_second,
        )
    except ValidationError as error:
        first = error.errors()[0]
        sys.stderr.write(f"{field_path(first['loc'])}: {first['msg']}\n")
        return REFUSED
    stored = line.model_dump_json(exclude_defaults=True)
    sys.stdout.write(json.dumps({"key": key, "line": stored}) + "\n")
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--source", required=True, help="stored with every event that comes with the key")
    parser.add_argument(
        "--environment", required=True, help="local, staging or production: refused elsewhere"
    )
    parser.add_argument(
        "--role",
        action="append",
        choices=list(Role),
        help="what it may do; may be repeated (default: sender)",
    )
    parser.add_argument(
        "--origin", action="append", default=[], metavar="https://HOST", help="pages a browser key is for"
    )
    parser.add_argument(
        "--requests-per-second",
        type=float,
        metavar="RATE",
        help="a rate of its own at the forecast and decision services",
    )
    for name, help_ in (("--not-before", "valid from"), ("--not-after", "valid until")):
        parser.add_argument(
            name, type=datetime.fromisoformat, metavar="TIME", help=f"{help_}, ISO 8601 with offset"
        )
    return parser
