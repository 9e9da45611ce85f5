"""`python -m bench.perplexity TEXT`: what forgetting costs. Perplexity of prose in a 512-token window, three ways.

    reread    at each eviction the window is read again from its start (the reference)
    holes     the engine's way: whole segments leave, positions keep a hole, one shift near the trained context

Prints both over the whole text, and the drift of the engine's way: how its ratio to the reference differs between the
first and the last tenth. Works on the backend's verbs; tokens go in as one-token runs, so that each has its row.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.backend import Run
from engine.llama import LlamaBackend, LlamaOptions
from engine.machine import demo_model

WINDOW, SEGMENT, PERSONA = 512, 64, 64
KEPT = WINDOW * 3 // 4


class Reader:
    """One sequence: reads segments, notes the surprise at each token, forgets segments from behind the persona."""

    def __init__(self, backend: LlamaBackend, rereads: bool) -> None:
        self.backend, self.rereads = backend, rereads
        backend.clear()
        self.held: list[tuple[int, list[int]]] = []
        self.surprise: list[float] = []
        self.n_shifts = self.n_evaluated = 0
        self._row: np.ndarray | None = None

    @property
    def end(self) -> int:
        return self.held[-1][0] + len(self.held[-1][1]) if self.held else 0

    def read(self, tokens: list[int], note: bool = True) -> None:
        """Read a segment at the end."""
        if sum(len(held) for _, held in self.held) + len(tokens) > WINDOW:
            self.forget()
        start = self.end
        self.backend.decode([Run(0, start + i, [token], True) for i, token in enumerate(tokens)])
        self.n_evaluated += len(tokens)
        for index, token in enumerate(tokens):
            if note and self._row is not None:
                self.surprise.append(surprise(self._row, token))
            self._row = self.backend.logits(index)
        self.held.append((start, tokens))

    def forget(self) -> None:
        """Evict down to three quarters of the window."""
        gone = []
        while sum(len(held) for _, held in self.held) > KEPT:
            gone.append(self.held.pop(1))
        if self.rereads:
            self.reread()
            return
        for start, tokens in gone:
            self.backend.seq_remove(0, start, start + len(tokens))
        if self.end + SEGMENT > self.backend.n_context_train:
            self.rebase()

    def reread(self) -> None:
        held, self.held = self.held, []
        self.backend.clear()
        for _, tokens in held:
            self.read(tokens, note=False)

    def rebase(self) -> None:
        self.n_shifts += 1
        target = len(self.held[0][1])
        for index, (start, tokens) in enumerate(self.held[1:], 1):
            self.backend.seq_shift(0, start, start + len(tokens), target - start)
            self.held[index] = (target, tokens)
            target += len(tokens)


def surprise(row: np.ndarray, token: int) -> float:
    """-log p(token) in nats."""
    top = float(row.max())
    return float(np.log(np.exp(row.astype(np.float64) - top).sum()) + top - row[token])


def segments(tokens: list[int], n_tokens: int) -> Iterator[list[int]]:
    """The persona, then equal segments."""
    yield tokens[:PERSONA]
    for start in range(PERSONA, min(len(tokens), n_tokens), SEGMENT):
        yield tokens[start : start + SEGMENT]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--tokens", type=int, default=100_000)
    options = parser.parse_args()
    backend = LlamaBackend(demo_model(), LlamaOptions(n_cells=WINDOW + 64, n_sequences=2, n_batch=SEGMENT))
    tokens = backend.tokenize(options.text.read_text(errors="ignore"), special=False)[: options.tokens]
    found = {}
    for name, rereads in (("holes", False), ("reread", True)):
        reader, started = Reader(backend, rereads), time.monotonic()
        for segment in segments(tokens, options.tokens):
            reader.read(segment)
        found[name] = np.array(reader.surprise)
        seconds = time.monotonic() - started
        print(
            f"{name}: perplexity {np.exp(found[name].mean()):.3f} over {len(found[name])} tokens, "
            f"{reader.n_evaluated} evaluated, {reader.n_shifts} shifts, {seconds:.0f} s",
            flush=True,
        )
    apart = found["holes"] - found["reread"]
    tenth = len(apart) // 10
    print(f"holes / reread: {np.exp(apart.mean()):.4f}")
    print(f"first tenth {np.exp(apart[:tenth].mean()):.4f}, last tenth {np.exp(apart[-tenth:].mean()):.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
