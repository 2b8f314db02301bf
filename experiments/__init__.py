"""Runs from data to figures, one file a run."""

import time

# A run reports its seconds from here to the first steps: this is imported before anything that takes time.
STARTED = time.perf_counter()
