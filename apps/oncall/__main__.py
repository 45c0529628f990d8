"""`python -m apps.oncall` answers requests; `python -m apps.oncall check --help` and others are for people."""

import sys

from apps.oncall import commands
from apps.oncall.main import main

if len(sys.argv) > 1:
    raise SystemExit(commands.main(sys.argv[1:]))
main()
