"""`python -m apps.collector`."""

from apps.collector.main import main

main()
