"""`make bench-engine`: what every kind of turn reads, and what the engine costs. Writes docs/benchmarks.md.

`--model gemma`, `tiny-qwen35` or a file (`make bench-engine MODEL=...`): what turns read on that model, printed only.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from bench.engine_ratios import Ratios
from bench.engine_reads import CONTEXT, TINY_CONTEXT, Reads, Row
from bench.models import TINY, add_model, model_file
from bench.tables import machine, publish, table

HEAD = ("turn", "evaluated", "new", "ratio")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    named = parser.parse_args().model
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        context = TINY_CONTEXT if named.startswith(TINY) else CONTEXT
        reads = Reads(Path(folder) / "reads", model_file(named, Path(folder)), context).run()
        if named:
            print(f"{machine()}; {named}, context {context}\n\n{table(HEAD, reads)}")
        else:
            write_down(reads, Path(folder))
    return 0 if all(evaluated <= new for _, evaluated, new, _ in reads) else 1


def write_down(reads: list[Row], folder: Path) -> None:
    """Publish what the demo model read; measure and publish what the engine costs."""
    publish("reads", f"{machine()}; SmolLM2-135M Q4_1\n\n" + table(HEAD, reads))
    ratios = Ratios(folder).run()
    publish(
        "ratios",
        f"{machine()}; SmolLM2-135M Q4_1, f16 KV\n\n" + table(("what", "measured", "target", "detail"), ratios),
    )


if __name__ == "__main__":
    sys.exit(main())
