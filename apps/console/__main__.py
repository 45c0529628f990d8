"""`python -m apps.console`."""

from apps.console.main import main

main()
