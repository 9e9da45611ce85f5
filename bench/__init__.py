"""What things cost, as ratios within one run: docs/benchmarks.md."""

import os

# Before anybody here loads libgomp, which reads it then: how long its threads spin at a barrier. Everybody gets what
# inglenook gives itself (docs/decisions.md); with the default, two threads on two cores that anything else uses, too,
# are twenty times slower.
os.environ.setdefault("GOMP_SPINCOUNT", "100")
os.environ.setdefault("GGML_NO_BACKTRACE", "1")
