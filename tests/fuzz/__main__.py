"""`python -m tests.fuzz --minutes 3` (`make fuzz MINUTES=3`): mutated card files, as many as there is time for.

Prints how many were taken and how many were refused with which code, and the slowest and the largest. Exits with 1
when anything else happened; the number of a case makes it again: `--only NUMBER`.
"""

import argparse
import multiprocessing
import sys
from collections import Counter

from tests.fuzz.mutations import case
from tests.fuzz.trial import MAX_BYTES, MAX_CPU_S, share, tried

PATIENCE_S = 60  # a case that hangs longer ends the whole run


def main():
    options = parse()
    if options.only is not None:
        sys.stdout.write(f"{len(case(options.only)[1])} bytes: {tried(options.only)}\n")
        return 0
    seconds, n = options.minutes * 60, options.processes
    shares = [(options.seed * 1_000_000_000 + first, n, seconds) for first in range(n)]
    with multiprocessing.get_context("spawn").Pool(n) as pool:
        found = pool.starmap_async(share, shares).get(timeout=seconds + PATIENCE_S)
    codes = sum((one[0] for one in found), Counter())
    wrong = [verdict for one in found for verdict in one[1]]
    slowest, largest = (
        max((one[2] for one in found), key=lambda one: one.cpu_s),
        max((one[3] for one in found), key=size),
    )
    tell(codes, wrong, slowest, largest)
    return 1 if wrong else 0


def size(verdict):
    return verdict.n_bytes


def tell(codes, wrong, slowest, largest):
    lines = [f"{n:>9,}  {code}" for code, n in codes.most_common()]
    lines += [f"{codes.total():>9,}  files in all"]
    lines += [f"slowest {slowest.cpu_s * 1000:.0f} ms of CPU ({slowest.number}), bound {MAX_CPU_S * 1000:.0f}"]
    lines += [
        f"largest {largest.n_bytes / (1 << 20):.1f} MiB ({largest.number}), bound {MAX_BYTES >> 20} for every file"
    ]
    lines += [f"WRONG: case {one.number}: {one.wrong}" for one in wrong[:50]]
    sys.stdout.write("\n".join([*lines, f"{len(wrong)} failures", ""]))


def parse():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", type=int, help="try this one case and say what happened")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
