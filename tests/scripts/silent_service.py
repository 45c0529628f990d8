"""A process that never says it is ready."""

import sys
import time

sys.stdout.write("still loading\n")
sys.stdout.flush()
time.sleep(60)
