"""Step: random chains of everything that can happen to a session (bench/chains.py), on tiny models on this build.

Each kind of memory gets its share of the time that is left, and at least one chain.
"""

import sys
import tempfile
import time
from pathlib import Path

from bench.gpu.asked import ask
from bench.gpu.rows import judged, tell
from bench.soak_engine import Soak

KINDS = (
    ("llama", "f16", True),
    ("gemma3", "f16", True),
    ("qwen35", "f16", True),
    ("llama", "q8_0", True),
    ("gemma2, window 12", "f16", False),
    ("lfm2", "f16", True),
    ("jamba", "f16", True),
    ("mamba", "f16", True),
)
TOY_KINDS = KINDS[:2]
SPARE_S = 3.0


def main() -> int:
    asked = ask(__doc__)
    until = time.monotonic() + asked.seconds - SPARE_S
    kinds = TOY_KINDS if asked.toy else KINDS
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        soak = Soak(Path(folder), 1.0, ("tiny",), n_chains=1)
        for number, (name, kv_type, swa_full) in enumerate(kinds):
            left_s = until - time.monotonic()
            if left_s < 1:
                break
            tell_chains(soak, name, kv_type, swa_full, left_s / (len(kinds) - number))
    return 1 if soak.broken else 0


def tell_chains(soak: Soak, name: str, kv_type: str, swa_full: bool, seconds: float) -> None:
    """The chains of one kind of memory, and their row."""
    n_broken = soak.broken
    soak.tiny_chains(name, kv_type, swa_full, 0.8 * seconds)
    what, count, result = soak.rows[-1]
    tell(judged("chains", what, f"{count} chains", "never another first token", soak.broken == n_broken, result))


if __name__ == "__main__":
    sys.exit(main())
