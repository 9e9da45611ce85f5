"""`python -m tests.vulkan.differences`: what differs between the device and the CPU, on the demo model.

The same build computes on both, with and without layers on the device. The CPU's row is the ruler: speeds as ratios of
this one run. A reply of the device that leaves the CPU's at another place than a near-tie of two tokens is a fault.
"""

import statistics
import sys
import time

import numpy as np

from engine.backend import DecodeResult, TokenRun
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.model.hardware import demo_model

TEXT = "The keeper of the lighthouse counted the ships that had passed since the evening, and wrote them down. "
N_READ, N_WRITTEN, N_TIMES = 256, 24, 5
NEAR_TIE = 0.5  # of the logits' standard deviation


def main():
    """Measure both, print the table; 1 when the device's reply is not the CPU's."""
    cpu, card = (Measured(n_gpu_layers) for n_gpu_layers in (0, -1))
    rows = [
        ("layers on the device", cpu.layers, card.layers),
        ("reading, tokens/s", f"{cpu.reading:.0f}", f"{card.reading:.0f}"),
        ("writing, tokens/s", f"{cpu.writing:.1f}", f"{card.writing:.1f}"),
        (f"saving {N_READ} cells, ms", f"{cpu.save_ms:.1f}", f"{card.save_ms:.1f}"),
        (f"loading {N_READ} cells, ms", f"{cpu.load_ms:.1f}", f"{card.load_ms:.1f}"),
        ("the same bytes after loading and saving", cpu.exact, card.exact),
        (f"asked to abort while it reads {N_READ} tokens", cpu.n_asked, card.n_asked),
        ("logits apart from the CPU's, relative", "", f"{apart(cpu.row, card.row):.4f}"),
        (f"tokens alike of {N_WRITTEN}, greedy", "", same_tokens(cpu, card)),
    ]
    width = max(len(name) for name, _, _ in rows)
    sys.stdout.write(f"{'':<{width}}  {'CPU':>12}  {'device':>12}\n")
    sys.stdout.writelines(f"{name:<{width}}  {of_cpu!s:>12}  {of_card!s:>12}\n" for name, of_cpu, of_card in rows)
    return 0 if card.n_on_card and card.exact and agree(cpu, card) else 1


class Measured:
    """One model on one device: its figures, and a greedy reply with the row of logits before each token."""

    def __init__(self, n_gpu_layers):
        self.backend = LlamaBackend(
            demo_model(), LlamaOptions(n_cells=2048, n_sequences=4, n_batch=N_READ, n_gpu_layers=n_gpu_layers)
        )
        self.n_on_card = self.backend.n_on_card
        self.layers = f"{self.n_on_card} of {self.backend.n_layers}"
        self.tokens = self.backend.tokenize(TEXT * 40, special=False)[:N_READ]
        self.read()  # the device compiles its shaders
        self.reading = N_READ / statistics.median(seconds(self.read) for _ in range(N_TIMES))
        self.n_asked = self.count_questions()
        self.row = self.read()
        self.rows, self.reply, took = self.write()
        self.writing = N_WRITTEN / took
        self.save_ms, self.load_ms, self.exact = self.move()
        self.backend.close()

    def read(self):
        """Read the text into sequence 0; its last row."""
        self.backend.clear()
        assert self.backend.decode([TokenRun(0, 0, self.tokens, True)]) is DecodeResult.DONE
        return self.backend.logits(0)

    def write(self):
        """A greedy reply: rows, tokens, seconds."""
        rows, reply, began = [self.row], [], time.perf_counter()
        while len(reply) < N_WRITTEN:
            reply.append(int(rows[-1].argmax()))
            self.backend.decode([TokenRun(0, self.backend.seq_end(0), reply[-1:], True)])
            rows.append(self.backend.logits(0))
        return rows, reply, time.perf_counter() - began

    def count_questions(self):
        """How often a decode asks whether it shall end."""
        asked = []
        self.backend.set_abort(lambda: bool(asked.append(1)))
        self.read()
        self.backend.set_abort(None)
        return len(asked)

    def move(self):
        """Milliseconds of a save and of a load, and whether the bytes come back."""
        self.read()
        saved = bytes(self.backend.seq_save(0))
        saving = statistics.median(seconds(lambda: self.backend.seq_save(0, N_READ)) for _ in range(N_TIMES))

        def load():
            self.backend.seq_remove(1, 0, -1)
            assert self.backend.seq_load(1, saved)

        loading = statistics.median(seconds(load) for _ in range(N_TIMES))
        self.backend.clear()
        assert self.backend.seq_load(0, saved)
        return 1000 * saving, 1000 * loading, bytes(self.backend.seq_save(0)) == saved


def seconds(call):
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def apart(left, right):
    """The distance of two rows of logits, relative to the first."""
    return float(np.linalg.norm(left - right) / np.linalg.norm(left))


def n_alike(cpu, card):
    """How many tokens both write before one differs."""
    pairs = zip(cpu.reply, card.reply, strict=True)
    return next((number for number, (left, right) in enumerate(pairs) if left != right), N_WRITTEN)


def same_tokens(cpu, card):
    """In words."""
    n = n_alike(cpu, card)
    return f"{n}" if n == N_WRITTEN or not agree(cpu, card) else f"{n}, near-tie"


def agree(cpu, card):
    """Whether the replies are the same up to a near-tie of the CPU's two best tokens."""
    n = n_alike(cpu, card)
    if n == N_WRITTEN:
        return True
    row = cpu.rows[n]
    return abs(row[cpu.reply[n]] - row[card.reply[n]]) < NEAR_TIE * float(row.std())


if __name__ == "__main__":
    sys.exit(main())
