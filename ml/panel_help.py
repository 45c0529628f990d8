"""What `python -m ml panel --help` teaches."""

from typing import Final

PANEL: Final = """\
Build one row per product and complete month from the events of the lake.

Each file of events is divided by product once (large ones of a month together), and each bucket of products is summed
up alone, so memory does not grow with the events and only what new events changed is made again. Beyond one machine the
same work is shared:

  python -m ml panel --split 1/2      on any number of machines that see the same lake, each its share
  python -m ml panel --split 2/2
  python -m ml panel --shard 1/2      when all of them are done
  python -m ml panel --shard 2/2
  python -m ml panel --merge          at the end, once: the same panel, byte for byte

  python -m ml panel --check          DuckDB adds the events up again and compares
"""
