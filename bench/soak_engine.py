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
from pathlib import Path

from bench.chains import Apart, Chain, Difference, Reference
from bench.soak_blocks import damaged_blocks, full_disk, full_tmpfs, kills
from bench.tables import machine, publish, table
from engine import Engine, EngineOptions
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.model.hardware import demo_model
from tests.engine import tiny_models

Row = tuple[str, str, str]
TINY = (("llama", "f16"), ("llama", "q8_0"), ("gemma2", "f16"), ("mamba", "f16"), ("jamba", "f16"))
MOVES = 20
SHARES = {"tiny": 0.45, "demo": 0.3, "switches": 0.15, "blocks": 0.1}


def random_bytes(rng: random.Random, n: int) -> tuple[int, ...]:
    """Tokens of the tiny models: any byte."""
    return tuple(rng.randrange(3, 259) for _ in range(n))


def engines(model: Path, folder: Path, kv_type: str = "f16") -> tuple[Callable[[], Engine], Engine]:
    """A small engine that parks, shifts and restarts, and a roomy one that never does."""

    def subject() -> Engine:
        backend = LlamaBackend(model, LlamaOptions(1200, 4, n_batch=64, n_threads=1, kv_type=kv_type))
        backend.n_context_train = 700
        return Engine(backend, EngineOptions(500, 2, folder=folder, park_after_s=0.0)).start()

    backend = LlamaBackend(model, LlamaOptions(6000, 48, n_batch=64, n_threads=1, kv_type=kv_type))
    backend.n_context_train = 10**9
    return subject, Engine(backend, EngineOptions(1500, 1)).start()


class Soak:
    """Runs one promise after the other within its share of the time."""

    def __init__(self, folder: Path, minutes: float, parts: Sequence[str], first: int = 0) -> None:
        self.folder, self.parts, self.first = folder, parts, first
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
        """Chains on every kind of memory."""
        for kind, kv_type in TINY:
            self.tiny_chains(kind, kv_type, seconds / len(TINY))

    def blocks(self, seconds: float) -> None:
        """Damage, kills, a full disk."""
        self.note("damaged blocks", *damaged_blocks(self.folder / "damaged", 20_000))
        self.note("kill -9 during saves", *kills(self.folder / "kills", min(200, int(seconds * 2))))
        self.note("turns whose files may not grow", *full_disk(self.folder / "full"))
        self.note("turns on a full tmpfs of 1 MiB", *full_tmpfs(self.folder / "tmpfs"))

    def tiny_chains(self, kind: str, kv_type: str, seconds: float) -> None:
        model = getattr(tiny_models, kind)(self.folder / f"{kind}-{kv_type}.gguf")
        reference = Reference.same if kind == "llama" else Reference.fresh
        folder = self.folder / f"{kind}-{kv_type}"
        n_chains, found = chains(model, folder, kv_type, reference, seconds, random_bytes, self.first)
        self.note_chains(f"random chains, tiny {kind}, {kv_type} KV", n_chains, found)

    def demo(self, seconds: float) -> None:
        """Chains on SmolLM2."""

        def words(rng: random.Random, n: int) -> tuple[int, ...]:
            return tuple(rng.randrange(100, 40_000) for _ in range(n))

        folder = self.folder / "demo"
        n_chains, found = chains(demo_model(), folder, "f16", Reference.same, seconds, words, self.first)
        self.note_chains("random chains, SmolLM2", n_chains, found)

    def note_chains(self, what: str, n_chains: int, found: Difference) -> None:
        result = (
            f"{found.n_probes} probes, {found.n_exact} bit-exact, largest difference of a probability "
            f"{found.largest:.1e}, other first token {found.n_first_differs} times"
        )
        self.note(what, str(n_chains), result, found.n_first_differs == 0)

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
    """Many sessions on an engine with cells for one, beside as many engines. Chunks are equal, so the sums are, too."""

    def make(folder: Path | None) -> Engine:
        backend = LlamaBackend(model, LlamaOptions(512, 2, n_batch=64, n_threads=1))
        return Engine(backend, EngineOptions(500, 1, folder=folder, step_s=1000.0)).start()

    apart = Apart(lambda: make(None))
    return Chain(lambda: make(folder), apart, random_bytes, 1, n_chats=n_chats, n_personas=n_chats), apart


def chains(
    model: Path,
    folder: Path,
    kv_type: str,
    kind: Reference,
    seconds: float,
    tokens: Callable[[random.Random, int], tuple[int, ...]],
    first: int = 0,
) -> tuple[int, Difference]:
    """As many chains as fit into the time, from seed `first` on; all their differences together."""
    make, reference = engines(model, folder, kv_type)
    total, n_chains, until = Difference(), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        chain = Chain(make, reference, tokens, first + n_chains, kind)
        chain.difference = total
        chain.run(MOVES)
        n_chains += 1
        if n_chains % 8 == 0:
            reference.close()
            make, reference = engines(model, folder, kv_type)
    reference.close()
    return n_chains, total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--parts", nargs="+", choices=list(SHARES), default=list(SHARES))
    parser.add_argument("--first", type=int, default=0, help="seed of the first chain: a second run has others")
    logging.basicConfig(level=logging.CRITICAL)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), asked.minutes, asked.parts, asked.first)
        rows = soak.run()
    text = f"{machine()}; MINUTES={asked.minutes:g}\n\n{table(('promise', 'count', 'result'), rows)}"
    if len(asked.parts) == len(SHARES):
        publish("soak", text)
    else:
        print(text)
    return 1 if soak.broken else 0


if __name__ == "__main__":
    sys.exit(main())
