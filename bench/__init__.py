"""What things cost, as ratios within one run: docs/benchmarks.md."""

import os

# Before anybody here loads libgomp, which reads it then: how long its threads spin at a barrier. Everybody gets what
# inglenook gives itself (docs/decisions.md); with the default, two threads that meet on one core because somebody else
# uses the other one wait for each other at every barrier.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("GGML_NO_BACKTRACE", "1")
