"""A process that never says it is ready."""

import time

print("still loading", flush=True)
time.sleep(60)
