"""`python -m bench.perplexity TEXT`: what forgetting costs. Perplexity of prose in a window of 512 tokens, two ways.

    reread    at each eviction the window is read again from its start (the reference)
    holes     the engine's way: whole segments leave, positions keep a hole, one shift near the trained context

Prints both over the whole text, and the engine's ratio to the reference in its first and last tenth: passages of a text
differ by some percent there. Drift is what a long story does to the same words: with `--rounds` a text much longer than
the window is told again and again, and the last time is compared with the second, word by word. A round is as long as
it is from one shift to the next, so each word stands at the same position each time. Works on the backend's verbs;
tokens go in as one-token runs, so that each has its row.
`--model gemma --window 1024`: on another model, in a window that is longer than the model's own sliding one.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.models import add_model, model_file
from engine.backend import TokenRun
from engine.backends.llama import LlamaBackend, LlamaOptions

WINDOW, SEGMENT, PERSONA = 512, 64, 64


class Reader:
    """One sequence: reads segments, notes the surprise at each token, forgets segments from behind the persona."""

    def __init__(self, backend: LlamaBackend, rereads: bool, window: int) -> None:
        self.backend, self.rereads, self.window = backend, rereads, window
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
        if sum(len(held) for _, held in self.held) + len(tokens) > self.window:
            self.forget()
        start = self.end
        runs = [TokenRun(0, start + i, [token], True) for i, token in enumerate(tokens)]
        self.backend.decode(runs if note else [TokenRun(0, start, tokens, True)])
        self.n_evaluated += len(tokens)
        for index, token in enumerate(tokens if note else ()):
            if self._row is not None:
                self.surprise.append(surprise(self._row, token))
            self._row = self.backend.logits(index)
        self.held.append((start, tokens))

    def forget(self) -> None:
        """Evict down to three quarters of the window."""
        gone = []
        while sum(len(held) for _, held in self.held) > self.window * 3 // 4:
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
        self._row = self.backend.logits(0)

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


def segments(tokens: list[int]) -> Iterator[list[int]]:
    """The persona, then equal segments."""
    yield tokens[:PERSONA]
    for start in range(PERSONA, len(tokens), SEGMENT):
        yield tokens[start : start + SEGMENT]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=0, help="how often a text is told to see the drift, 3 or more")
    parser.add_argument("--window", type=int, default=WINDOW)
    add_model(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = model_file(options.model, Path(folder))
        backend = LlamaBackend(model, LlamaOptions(n_cells=options.window + 64, n_sequences=2, n_batch=SEGMENT))
    tokens = backend.tokenize(options.text.read_text(errors="ignore"), special=False)
    tokens = tokens if backend.bos is None else [backend.bos, *tokens]
    beside_reading_again(backend, tokens[: options.tokens], options.window)
    if options.rounds:
        drift(backend, tokens, options.rounds, options.window)
    return 0


def beside_reading_again(backend: LlamaBackend, tokens: list[int], window: int) -> None:
    """Perplexity of both ways, and their ratio."""
    found = {}
    for name, rereads in (("holes", False), ("reread", True)):
        reader, started = Reader(backend, rereads, window), time.monotonic()
        for segment in segments(tokens):
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


def drift(backend: LlamaBackend, tokens: list[int], n_rounds: int, window: int) -> None:
    """The same words in the second round and in the last: in the first one the window was not full yet."""
    reader, rounds = Reader(backend, False, window), []
    evictions = (backend.n_context_train - window) // (window // 4) + 1
    length = PERSONA + evictions * (window // 4)
    if len(tokens) < length:
        raise SystemExit(f"the text has {len(tokens)} tokens: give one of at least {length}")
    persona, *story = segments(tokens[:length])
    reader.read(persona)
    for _ in range(n_rounds):
        start = len(reader.surprise)
        for segment in story:
            reader.read(segment)
        rounds.append(np.array(reader.surprise[start:]))
    apart = rounds[-1] - rounds[1]
    print(
        f"the same {len(apart)} tokens in round 2 and in round {n_rounds}, {reader.n_evaluated} tokens in all, "
        f"{reader.n_shifts} shifts: perplexity {np.exp(rounds[1].mean()):.3f}, {np.exp(rounds[-1].mean()):.3f}; "
        f"drift {np.exp(apart.mean()) - 1:+.4%} (standard error {apart.std() / len(apart) ** 0.5:.4%})"
    )


if __name__ == "__main__":
    sys.exit(main())
