"""Inglenook and what people would use instead, driven by the same hand: see bench/side_by_side.py."""

import os

# Before anybody here loads libgomp, which reads it then: how long its threads spin at a barrier. Everybody gets what
# inglenook gives itself (docs/decisions.md); with the default, two threads on two cores that anything else uses, too,
# are twenty times slower.
os.environ.setdefault("GOMP_SPINCOUNT", "100")
os.environ.setdefault("GGML_NO_BACKTRACE", "1")
