"""The echo backend: a fake model for tests, with deterministic text and a KV cache that checks every rule.

Each cell carries a digest of its token and of all cells it could see, at their relative positions, as attention does.
So two sessions write the same text exactly when their KV contents are the same, and a stale, missing or foreign cell
changes the text. A broken rule raises KVRuleBroken, where the real cache would be silently wrong or kill the process.

The text (echo_script.py): the user's last message, the number of messages and a tag of six hex digits that depends on
the whole visible cache. Tokens are bytes, plus four control tokens for ChatML.
"""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.backend import AllocateMemory, Choice, DecodeResult, Logits, StateBytes, TokenRun, allocate_memory
from engine.backends.echo_grammar import sentence
from engine.backends.echo_script import END, SPECIALS, next_token_scores
from engine.sampling import SamplerSettings

_MASK = (1 << 64) - 1
_SPLIT = re.compile("(" + "|".join(re.escape(text) for text in SPECIALS) + ")")


class KVRuleBroken(AssertionError):
    """The engine broke a rule of the KV cache: a bug of the engine, never an error of its caller."""


@dataclass(slots=True)
class _Cell:
    """One cell: its token, its position, the digest of what it saw, and the sequences that share it."""

    token: int
    position: int
    value: int
    sequences: set[int] = field(default_factory=set)


def _mix(number: int) -> int:
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & _MASK
    return number ^ (number >> 31)


class EchoBackend:
    """See the module docstring. `delay_s`: seconds that each decode sleeps, so that a reply takes time.

    `snapshot_only` imitates a model that cannot shift: only decode, save, load and removing a whole sequence work.
    """

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
        snapshot_only: bool = False,
    ) -> None:
        self.n_cells, self.n_sequences, self.n_batch = n_cells, n_sequences, n_batch
        self.n_context_train, self.delay_s = n_context_train, delay_s
        self.n_vocab = 256 + len(SPECIALS)
        self.model_key = hashlib.sha256(f"echo-2-{salt}".encode()).hexdigest()
        self.can_shift = not snapshot_only
        self.n_evaluated = 0
        self._sequences: list[dict[int, _Cell]] = [{} for _ in range(n_sequences)]
        self._n_used = 0
        self._pending_shift = False
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
        self._require(0 < n_tokens <= self.n_batch, f"a batch of {n_tokens} tokens, allowed are 1 to {self.n_batch}")
        expected: dict[int, int] = {}
        for run in runs:
            self._check_run(run, expected.get(run.sequence, self.seq_end(run.sequence)))
            expected[run.sequence] = run.position + len(run.tokens)
        if self.n_used() + n_tokens > self.n_cells:
            return DecodeResult.NO_ROOM
        if self.delay_s:
            time.sleep(self.delay_s)
        self._pending_shift = False
        self._rows = []
        if self._abort and self._abort():
            self._append(runs[0])  # what was processed before the abort stays, as in llama.cpp
            return DecodeResult.ABORTED
        for run in runs:
            self._append(run)
        self.n_evaluated += n_tokens
        return DecodeResult.DONE

    def _check_run(self, run: TokenRun, expected: int) -> None:
        self._require(bool(run.tokens), "a run without tokens")
        self._require(all(0 <= token < self.n_vocab for token in run.tokens), "a token id outside the vocabulary")
        self._require(
            run.position == expected,
            f"sequence {run.sequence} continues at position {expected}, the batch says {run.position}",
        )

    def _append(self, run: TokenRun) -> None:
        cells = self._sequences[run.sequence]
        for offset, token in enumerate(run.tokens):
            position = run.position + offset
            cells[position] = _Cell(token, position, self._value(cells, position, token), {run.sequence})
        self._n_used += len(run.tokens)
        if run.wants_logits:
            ordered = [cells[position] for position in sorted(cells)]
            scores = next_token_scores([cell.token for cell in ordered], ordered[-1].value, self.n_vocab)
            self._rows.append(np.array(scores, dtype=np.float32))

    @staticmethod
    def _value(cells: dict[int, _Cell], position: int, token: int) -> int:
        """A digest of the token and of every visible cell at its relative position."""
        if not cells:
            return _mix(token + 1)
        values = np.fromiter((cell.value for cell in cells.values()), dtype=np.uint64, count=len(cells))
        distances = np.fromiter((position - at for at in cells), dtype=np.uint64, count=len(cells))
        mixed = (values ^ (distances * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
        return _mix((int(np.bitwise_xor.reduce(mixed ^ (mixed >> np.uint64(29)))) + token + 1) & _MASK)

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
        return self._n_used

    def seq_remove(self, sequence: int, start: int, end: int) -> bool:
        """Remove a range of cells from one sequence."""
        cells = self._sequences[sequence]
        part = start > 0 or 0 <= end <= max(cells, default=-1)
        self._require(self.can_shift or not part, "a part removed from a model that cannot shift")
        for position in [p for p in cells if p >= start and (end < 0 or p < end)]:
            cell = cells.pop(position)
            cell.sequences.discard(sequence)
            self._n_used -= not cell.sequences
        return True

    def seq_shift(self, sequence: int, start: int, end: int, delta: int) -> None:
        """Move a range; a cell that another sequence shares must not move."""
        self._require(self.can_shift, "a shift of a model that cannot shift")
        cells = self._sequences[sequence]
        moving = {p: cells.pop(p) for p in sorted(cells) if p >= start and (end < 0 or p < end)}
        for position, cell in moving.items():
            self._require(cell.sequences == {sequence}, "a shift of a cell that another sequence shares")
            self._require(position + delta >= 0 and position + delta not in cells, "a shift onto a used position")
            cell.position = position + delta
            cells[position + delta] = cell
        self._pending_shift = self._pending_shift or bool(moving and delta)

    def seq_copy(self, source: int, target: int, start: int, end: int) -> None:
        """Share a range of cells."""
        self._require(self.can_shift, "a part copied from a model that cannot shift")
        for position, cell in self._sequences[source].items():
            if position >= start and (end < 0 or position < end):
                self._require(position not in self._sequences[target], "a copy onto a used position")
                self._sequences[target][position] = cell
                cell.sequences.add(target)

    def seq_save(self, sequence: int, n_cells: int = 0, allocate: AllocateMemory = allocate_memory) -> memoryview:
        """Positions, tokens and values, 24 bytes a cell."""
        self._require(not self._pending_shift, "a save while a shift is pending")
        cells = self._sequences[sequence]
        rows = [(p, cells[p].token, cells[p].value) for p in sorted(cells)]
        self._require(n_cells in (0, len(rows)), f"{n_cells} cells to save where there are {len(rows)}")
        saved = allocate(24 * len(rows))
        saved[:] = np.array(rows, dtype=np.uint64).tobytes()
        return saved

    def seq_load(self, sequence: int, data: StateBytes) -> bool:
        """Fill an empty sequence; false when the bytes are no cells or do not fit."""
        self._require(not self._sequences[sequence], "a load into a sequence that is not empty")
        if not data or len(data) % 24:
            return False
        rows = np.frombuffer(data, dtype=np.uint64).reshape(-1, 3)
        if self.n_used() + len(rows) > self.n_cells or rows[:, 1].max() >= self.n_vocab:
            return False
        for position, token, value in rows.tolist():
            self._sequences[sequence][position] = _Cell(token, position, value, {sequence})
        self._n_used += len(rows)
        return True

    def seq_end(self, sequence: int) -> int:
        """One behind the last position."""
        return max(self._sequences[sequence], default=-1) + 1

    def clear(self) -> None:
        """Remove every cell."""
        self._sequences = [{} for _ in range(self.n_sequences)]
        self._n_used, self._pending_shift = 0, False

    def close(self) -> None:
        """Nothing to free."""

    @staticmethod
    def _require(holds: bool, broken: str) -> None:
        if not holds:
            raise KVRuleBroken(broken)


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
