"""Makes a user of the console: the password, shown once, and the line with its hash for the file of users."""

import argparse
import json
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from apps.chassis.keys import Role
from apps.chassis.problems import field_path
from apps.console.users import User

REFUSED = 1
_EPILOG = """\
examples:
  who looks:           python -m apps.console user --name ada
  who opens requests:  python -m apps.console user --name grace --role controller
Give `password` to the person: it is shown this once. Add `line` to the file that CONSOLE_USERS_FILE names; the console
reads it again by itself, also when a line goes. The name is the person's account on the forge, which may then not
approve what it asked for here.
stdout is one JSON object; exit code 0, or 1 when the values make no user.
"""


def main(arguments: Sequence[str]) -> int:
    """Print a new password and its line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m apps.console user",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", required=True, help="the account on the forge")
    roles = [str(Role.viewer), str(Role.controller)]
    parser.add_argument("--role", default=roles[0], choices=roles, help="what it may do [%(default)s]")
    options = parser.parse_args(arguments)
    try:
        user, password = User.with_password(options.name, frozenset({Role(options.role)}))
    except ValidationError as error:
        first = error.errors()[0]
        sys.stderr.write(f"{field_path(first['loc'])}: {first['msg']}\n")
        return REFUSED
    sys.stdout.write(json.dumps({"password": password, "line": user.model_dump_json()}) + "\n")
    return 0
