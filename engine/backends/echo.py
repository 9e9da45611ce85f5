"""The echo backend: a fake model for tests, with deterministic text and a KV cache that checks every rule.

Its cells (echo_cells.py) check every rule of the real cache, for models of four kinds.

The text (echo_script.py): the user's last message, the number of messages and a tag of six hex digits that depends on
the whole visible cache. Tokens are bytes, plus four control tokens for ChatML.
"""

import hashlib
import re
import time
from collections.abc import Callable, Sequence

import numpy as np

from engine.backend import AllocateMemory, Choice, DecodeResult, Logits, Part, StateBytes, TokenRun, allocate_memory
from engine.backends.echo_cells import EchoCells, KVRuleBroken, require
from engine.backends.echo_grammar import sentence
from engine.backends.echo_script import END, SPECIALS, next_token_scores
from engine.sampling import SamplerSettings

__all__ = ["EchoBackend", "EchoSampler", "KVRuleBroken"]
_SPLIT = re.compile("(" + "|".join(re.escape(text) for text in SPECIALS) + ")")


class EchoBackend:
    """See the module docstring. `delay_s`: seconds that each decode sleeps, so that a reply takes time.

    `kind`: what model is imitated ("dense", "window", "hybrid" or "recurrent", see echo_cells.py); `n_window`: tokens
    that a window sees; `can_move=False`: one whose cells cannot be shifted.
    """

    n_on_card = 0
    bos: int | None = None
    bos_text, eos_text = "<|bos|>", "<|im_end|>"
    chat_template = (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] }}"
        "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )

    def __init__(
        self,
        n_cells: int = 4096,
        n_sequences: int = 16,
        n_batch: int = 128,
        n_context_train: int = 8192,
        delay_s: float = 0.0,
        salt: str = "",
        kind: str = "dense",
        n_window: int = 0,
        can_move: bool = True,
    ) -> None:
        self.n_cells, self.n_sequences, self.n_batch = n_cells, n_sequences, n_batch
        self.n_context_train, self.delay_s = n_context_train, delay_s
        self.n_vocab = 256 + len(SPECIALS)
        self.model_key = hashlib.sha256(f"echo-2-{salt}".encode()).hexdigest()
        self.n_window, self._movable = n_window, can_move
        self._kind, self.n_evaluated = kind, 0
        self.clear()
        self.can_drop, self.can_move, self.cut = self._cells.can_drop, self._cells.can_move, self._cells.cut
        self._rows: list[Logits] = []
        self._abort: Callable[[], bool] | None = None

    # -- words ------------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Bytes; control tokens only with `special`."""
        parts = _SPLIT.split(text) if special else [text]
        tokens: list[int] = []
        for part in parts:
            tokens += [256 + SPECIALS.index(part)] if special and part in SPECIALS else list(part.encode())
        return tokens

    def piece(self, token: int) -> bytes:
        """The byte itself; nothing for a control token."""
        return bytes([token]) if token < 256 else b""

    def is_end(self, token: int) -> bool:
        """<|im_end|> and <|end|>."""
        return 256 <= token < self.n_vocab and SPECIALS[token - 256] in ("<|im_end|>", "<|end|>")

    # -- decode -----------------------------------------------------------------------------------------------------

    def decode(self, runs: Sequence[TokenRun]) -> DecodeResult:
        """Check the rules, fill the cells, compute the rows."""
        n_tokens = sum(len(run.tokens) for run in runs)
        require(0 < n_tokens <= self.n_batch, f"a batch of {n_tokens} tokens, allowed are 1 to {self.n_batch}")
        ends: dict[int, int] = {}
        for run in runs:
            require(bool(run.tokens), "a run without tokens")
            require(all(0 <= token < self.n_vocab for token in run.tokens), "a token id outside the vocabulary")
            self._cells.check_run(run, ends.get(run.sequence))
            ends[run.sequence] = run.position + len(run.tokens)
        if self.n_used() + n_tokens > self.n_cells:
            return DecodeResult.NO_ROOM
        if self.delay_s:
            time.sleep(self.delay_s)
        self._cells.carry_out_shifts()
        self._cells.overwrite_masked()
        self._rows = []
        if self._abort and self._abort():
            self._append(runs[0])  # what was processed before the abort stays, as in llama.cpp
            return DecodeResult.ABORTED
        for run in runs:
            self._append(run)
        self.n_evaluated += n_tokens
        return DecodeResult.DONE

    def _append(self, run: TokenRun) -> None:
        ordered = self._cells.append(run)
        if ordered:
            scores = next_token_scores([cell.token for cell in ordered], ordered[-1].value, self.n_vocab)
            self._rows.append(np.array(scores, dtype=np.float32))

    def logits(self, row: int) -> Logits:
        """A copy of one row."""
        return self._rows[row].copy()

    def sampler(self, settings: SamplerSettings, history: Sequence[int]) -> "EchoSampler":
        """Greedy at temperature 0, else drawn from the softmax with the seed."""
        return EchoSampler(self, settings)

    def set_abort(self, wanted: Callable[[], bool] | None) -> None:
        """Poll `wanted` once in each decode."""
        self._abort = wanted

    # -- cells ------------------------------------------------------------------------------------------------------

    def n_used(self) -> int:
        """Cells in use; a shared cell counts once."""
        return self._cells.n_used

    def seq_remove(self, sequence: int, start: int, end: int) -> bool:
        """Remove a range of cells from one sequence."""
        return self._cells.remove(sequence, start, end)

    def seq_shift(self, sequence: int, start: int, end: int, delta: int) -> None:
        """Move a range; a cell that another sequence shares must not move."""
        self._cells.shift(sequence, start, end, delta)

    def seq_copy(self, source: int, target: int, start: int, end: int) -> None:
        """Share a range of cells."""
        self._cells.copy(source, target, start, end)

    def seq_strip(self, sequence: int) -> None:
        """Forget the state of the recurrent layers."""
        self._cells.strip(sequence)

    def seq_save(
        self,
        sequence: int,
        n_cells: int = 0,
        allocate: AllocateMemory = allocate_memory,
        part: Part = Part.WHOLE,
    ) -> memoryview:
        """Positions, tokens and values, 24 bytes a cell."""
        return self._cells.save(sequence, n_cells, allocate, part)

    def seq_load(self, sequence: int, data: StateBytes, part: Part = Part.WHOLE) -> bool:
        """Fill a sequence; false when the bytes are no cells or do not fit."""
        return self._cells.load(sequence, data, part, self.n_vocab)

    def window_cells(self, sequence: int) -> int:
        """Positions that a window still holds."""
        return self._cells.window_cells(sequence)

    def seq_end(self, sequence: int) -> int:
        """One behind the last position."""
        return self._cells.end(sequence)

    def clear(self) -> None:
        """Remove every cell."""
        self._cells = EchoCells(self._kind, self.n_cells, self.n_sequences, self.n_window, self._movable)

    def close(self) -> None:
        """Nothing to free."""


class EchoSampler:
    """Greedy or seeded softmax over the echo rows; under a grammar, one fixed sentence of it (echo_grammar.py)."""

    def __init__(self, backend: EchoBackend, settings: SamplerSettings) -> None:
        self._backend, self._settings = backend, settings
        self._random = np.random.default_rng(settings.seed)
        self._n_drawn = 0
        grammar = settings.grammar
        self._sentence = [*backend.tokenize(sentence(grammar), special=False), END] if grammar else []

    def sample(self, row: int) -> Choice:
        """Draw from a row of the last decode."""
        return self.sample_from(self._backend.logits(row))

    def sample_from(self, logits: Logits) -> Choice:
        """Draw from a row."""
        logits = logits.astype(np.float64)
        for token, bias in self._settings.logit_bias:
            logits[token] += bias
        if self._settings.ban_end and not self._n_drawn:
            logits[[token for token in range(len(logits)) if self._backend.is_end(token)]] = -np.inf
        if self._sentence:
            token = self._sentence[min(self._n_drawn, len(self._sentence) - 1)]
            logits[:] = -np.inf
            logits[token] = 0.0
        self._n_drawn += 1
        weights = np.exp((logits - logits.max()) / max(self._settings.temperature, 1e-6))
        weights /= weights.sum()
        greedy = self._settings.temperature == 0
        token = int(logits.argmax()) if greedy else int(self._random.choice(len(weights), p=weights))
        best = np.argsort(-weights)[: self._settings.top_n]
        return Choice(token, tuple((int(index), float(weights[index])) for index in best))

    def close(self) -> None:
        """Nothing to free."""
