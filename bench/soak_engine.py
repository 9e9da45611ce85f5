"""`make soak-engine MINUTES=n`: the long promises of the engine, as many as fit. Writes docs/benchmarks.md.

Chains on tiny random models and on the demo model, switches between sessions, damaged blocks, kills during saves, a
full disk. Prints a count for each; exits with 1 when a promise was broken.
"""

import argparse
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.chains import Apart, Chain, Difference, Reference, chain_of
from bench.soak_blocks import damaged_blocks, full_disk, full_tmpfs, kills
from bench.tables import machine, publish, table
from engine import Engine, EngineOptions
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.model.hardware import demo_model
from tests.engine import tiny_models

Row = tuple[str, str, str]
TINY: dict[str, dict[str, int]] = {
    "llama": {},
    "gemma2, window 4": {"window": 4},
    "gemma2, window 12": {"window": 12},
    "gemma2, window 32": {"window": 32},
    "gemma2, window 128": {"window": 128},
    "gemma3": {},
    "qwen35": {},
    "lfm2": {},
    "jamba": {},
    "granitehybrid": {},
    "mamba": {},
}
MOVES = 20
LARGEST = 0.05
"""Of a difference of a probability: cells that lie elsewhere give other roundings, and random weights enlarge them."""
SHARES = {"tiny": 0.45, "demo": 0.3, "switches": 0.15, "blocks": 0.1}


def random_bytes(rng: random.Random, n: int) -> tuple[int, ...]:
    """Tokens of the tiny models: any byte."""
    return tuple(rng.randrange(3, 259) for _ in range(n))


def engines(
    model: Path, folder: Path, kv_type: str = "f16", swa_full: bool = True
) -> tuple[Callable[[], Engine], Engine]:
    """A small engine that parks, shifts and restarts, and a roomy one that never does."""

    def subject() -> Engine:
        options = LlamaOptions(1200, 4, n_batch=64, n_threads=1, kv_type=kv_type, swa_full=swa_full)
        backend = LlamaBackend(model, options)
        if backend.can_move:
            backend.n_context_train = 700
        return Engine(
            backend, EngineOptions(500, 2, folder=folder, park_after_s=0.0, checkpoints=1000, windows_in_ram=1000)
        ).start()

    backend = LlamaBackend(model, LlamaOptions(6000, 48, n_batch=64, n_threads=1, kv_type=kv_type))
    backend.n_context_train = 10**9
    return subject, Engine(backend, EngineOptions(1500, 1, checkpoints=1000, windows_in_ram=1000)).start()


class Soak:
    """Runs one promise after the other within its share of the time."""

    def __init__(self, folder: Path, minutes: float, parts: Sequence[str], first: int = 0, n_chains: int = 0) -> None:
        self.folder, self.parts, self.first, self.n_chains = folder, parts, first, n_chains
        self.seconds = minutes * 60 / sum(SHARES[part] for part in parts)
        self.rows: list[Row] = []
        self.broken = 0

    def note(self, what: str, count: str, result: str, holds: bool) -> None:
        """One line of the table."""
        self.rows.append((what, count, result if holds else f"**BROKEN** {result}"))
        self.broken += not holds
        print("...", *self.rows[-1], flush=True)

    def run(self) -> list[Row]:
        """The chosen parts, in the order of SHARES."""
        for part in SHARES:
            if part in self.parts:
                getattr(self, part)(self.seconds * SHARES[part])
        return self.rows

    def tiny(self, seconds: float) -> None:
        """Chains on every kind of memory; windows once with all their cells and once without."""
        variants = [(name, "f16", True) for name in TINY] + [("llama", "q8_0", True)]
        variants += [(name, "f16", False) for name in TINY if "window" in TINY[name]]
        for name, kv_type, swa_full in variants:
            self.tiny_chains(name, kv_type, swa_full, seconds / len(variants))

    def blocks(self, seconds: float) -> None:
        """Damage, kills, a full disk."""
        for maker in (tiny_models.llama, tiny_models.gemma2, tiny_models.qwen35):
            folder = self.folder / f"damaged-{maker.__name__}"
            self.note(f"damaged files, tiny {maker.__name__}", *damaged_blocks(folder, 10_000, maker))
        self.note("kill -9 during saves", *kills(self.folder / "kills", min(200, int(seconds * 2))))
        self.note("turns whose files may not grow", *full_disk(self.folder / "full"))
        self.note("turns on a full tmpfs of 1 MiB", *full_tmpfs(self.folder / "tmpfs"))

    def tiny_chains(self, name: str, kv_type: str, swa_full: bool, seconds: float) -> None:
        kind, folder = name.split(",")[0], self.folder / f"{name}-{kv_type}-{swa_full}"
        folder.mkdir()
        model = getattr(tiny_models, kind)(folder / "m.gguf", **TINY[name])
        reference = Reference.fresh if kind == "mamba" else Reference.same
        make = partial(engines, model, folder / "blocks", kv_type, swa_full)
        n_chains, found = chains(make, reference, seconds, random_bytes, self.first, self.n_chains)
        cells = "" if swa_full else ", swa_full off"
        self.note_chains(f"random chains, tiny {name}, {kv_type} KV{cells}", n_chains, found)

    def demo(self, seconds: float) -> None:
        """Chains on SmolLM2."""

        def words(rng: random.Random, n: int) -> tuple[int, ...]:
            return tuple(rng.randrange(100, 40_000) for _ in range(n))

        folder = self.folder / "demo"
        make = partial(engines, demo_model(), folder)
        n_chains, found = chains(make, Reference.same, seconds, words, self.first)
        self.note_chains("random chains, SmolLM2", n_chains, found)

    def note_chains(self, what: str, n_chains: int, found: Difference) -> None:
        result = (
            f"{found.n_probes} probes, {found.n_exact} bit-exact, largest difference of a probability "
            f"{found.largest:.1e}, other first token {found.n_first_differs} times; {found.n_read_again} of chats that "
            "were read again behind a hole, not compared"
        )
        self.note(what, str(n_chains), result, found.n_first_differs == 0 and found.largest < LARGEST)

    def switches(self, seconds: float) -> None:
        """20 sessions take turns in cells for one; compared with 20 engines that never switch, bit by bit."""
        model = tiny_models.llama(self.folder / "switch.gguf")
        chain, apart = switching(model, self.folder / "switch", 20)
        until = time.monotonic() + seconds
        while chain.n_moves < 10_000 and time.monotonic() < until:
            chain.switch()
        chain.subject.close()
        apart.close()
        found = chain.difference
        result = f"{found.n_exact} bit-exact, largest difference of a probability {found.largest:.1e}"
        self.note("random switches over 20 sessions", str(found.n_probes), result, found.n_exact == found.n_probes)


def switching(model: Path, folder: Path, n_chats: int) -> tuple[Chain, Apart]:
    """Many sessions on an engine with cells for one, beside as many engines. Chunks are equal, so the sums are, too: of
    16 tokens, like the first of an engine that does not know its speed yet."""

    def make(folder: Path | None) -> Engine:
        backend = LlamaBackend(model, LlamaOptions(512, 2, n_batch=16, n_threads=1))
        return Engine(backend, EngineOptions(500, 1, folder=folder, step_s=1000.0)).start()

    apart = Apart(lambda: make(None))
    return Chain(lambda: make(folder), apart, random_bytes, 1, n_chats=n_chats, n_personas=n_chats), apart


def chains(
    make_both: Callable[[], tuple[Callable[[], Engine], Engine]],
    kind: Reference,
    seconds: float,
    tokens: Callable[[random.Random, int], tuple[int, ...]],
    first: int = 0,
    at_least: int = 0,
) -> tuple[int, Difference]:
    """As many chains as fit into the time, and `at_least` so many, from seed `first` on; their differences together."""
    make, reference = make_both()
    total, n_chains, until = Difference(), 0, time.monotonic() + seconds
    while time.monotonic() < until or n_chains < at_least:
        chain = chain_of(reference.backend)(make, reference, tokens, first + n_chains, kind)
        chain.difference = total
        chain.run(MOVES)
        n_chains += 1
        if n_chains % 8 == 0:
            reference.close()
            make, reference = make_both()
    reference.close()
    return n_chains, total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--parts", nargs="+", choices=list(SHARES), default=list(SHARES))
    parser.add_argument("--first", type=int, default=0, help="seed of the first chain: a second run has others")
    parser.add_argument("--chains", type=int, default=0, help="at least so many chains on each tiny model")
    logging.basicConfig(level=logging.CRITICAL)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), asked.minutes, asked.parts, asked.first, asked.chains)
        rows = soak.run()
    text = f"{machine()}; MINUTES={asked.minutes:g}\n\n{table(('promise', 'count', 'result'), rows)}"
    if len(asked.parts) == len(SHARES):
        publish("soak", text)
    else:
        print(text)
    return 1 if soak.broken else 0


if __name__ == "__main__":
    sys.exit(main())
