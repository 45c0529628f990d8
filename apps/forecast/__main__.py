"""`python -m apps.forecast`."""

from apps.forecast.main import main

main()
