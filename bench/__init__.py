"""What things cost, as ratios within one run: docs/benchmarks.md."""

import os

# Before anybody here loads libgomp, which reads it then: how long its threads spin at a barrier. Bounds and peers get
# libgomp's own default, which is the fastest for who has the cores alone; inglenook sets its own (docs/decisions.md).
SPINS = "300000"
os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
os.environ.setdefault("GGML_NO_BACKTRACE", "1")
