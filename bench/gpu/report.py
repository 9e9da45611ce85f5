"""Puts the table of a run into docs/benchmarks.md: `python -m bench.gpu.report FILE`; without FILE: not measured."""

import argparse
import sys
from pathlib import Path

from bench.gpu.rows import NOT_MEASURED, Row, markdown
from bench.gpu.steps import promised
from bench.tables import publish

SECTION = "gpu"


def nothing() -> str:
    """The table while no card could be had."""
    return markdown([Row(step, what, NOT_MEASURED, detail="no card could be had") for step, what in promised()])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", help="what `--out` of the run has written")
    given = parser.parse_args()
    publish(SECTION, given.file.read_text(encoding="utf-8").strip() if given.file else nothing())
    return 0


if __name__ == "__main__":
    sys.exit(main())
