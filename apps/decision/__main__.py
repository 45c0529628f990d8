"""`python -m apps.decision`."""

from apps.decision.main import main

main()
