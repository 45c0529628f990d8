"""`python -m apps.console` shows pages; `python -m apps.console user --help` makes a user."""

import sys

from apps.console import new_user
from apps.console.main import main

if sys.argv[1:2] == ["user"]:
    raise SystemExit(new_user.main(sys.argv[2:]))
main()
