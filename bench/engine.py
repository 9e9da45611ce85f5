"""`make bench-engine`: what every kind of turn reads, and what the engine costs. Writes docs/benchmarks.md."""

import logging
import sys
import tempfile
from pathlib import Path

from bench.engine_ratios import Ratios
from bench.engine_reads import Reads
from bench.tables import machine, publish, table


def main() -> int:
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        reads = Reads(Path(folder) / "reads").run()
        publish("reads", f"{machine()}; SmolLM2-135M Q4_1\n\n" + table(("turn", "evaluated", "new", "ratio"), reads))
        ratios = Ratios(Path(folder)).run()
        head = ("what", "measured", "target", "detail")
        publish("ratios", f"{machine()}; SmolLM2-135M Q4_1, f16 KV\n\n" + table(head, ratios))
    return 0 if all(evaluated <= new for _, evaluated, new, _ in reads) else 1


if __name__ == "__main__":
    sys.exit(main())
