"""`python -m apps.collector` answers requests; `python -m apps.collector key --help` makes an API key."""

import sys

from apps.collector import new_key
from apps.collector.main import main

if sys.argv[1:2] == ["key"]:
    raise SystemExit(new_key.main(sys.argv[2:], "python -m apps.collector key"))
main()
