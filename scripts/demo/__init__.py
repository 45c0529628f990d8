"""The whole loop on one machine, as a story: `python -m scripts.demo`."""
