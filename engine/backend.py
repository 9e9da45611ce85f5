"""The backend interface: the protocol between the engine and a model, about a dozen verbs in ints and bytes.

Two implementations: `engine.backends.llama.LlamaBackend` (llama.cpp) and `engine.backends.echo.EchoBackend` (no model
at all, checks every KV rule). One contract suite, tests/engine/test_backend_contract.py, runs on both. A backend is
used by one thread at a time, except `tokenize`, `piece` and `is_end`, which any thread may call.

Rules that callers keep and the echo backend enforces: the next position of a sequence is its last one plus 1; no
position twice; at most `n_batch` tokens in one decode; no save of cells whose shift is pending; the scratch sequence is
empty between uses. What a model allows with its cells are three facts: `can_drop`, `can_move` and `cut`. Layers with a
sliding window or a recurrent state keep a *rest* beside the cells of full attention (`Part`): no decode while the rest
is not that of the sequence's end.

To add a backend: a module in engine/backends/ with a class for each of the two protocols, Backend and Sampler; a case
of the fixture `backend` in tests/engine/conftest.py, so that the contract suite runs on it; its name in `backend` of
store/settings.py and its branch in `load` of worker/engine_setup.py; `make docs` for the table of settings. The
terminal (engine/model/loader.py) always loads llama.cpp.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.sampling import SamplerSettings

Logits = NDArray[np.float32]
"""One row of logits, shape (n_vocab,)."""


StateBytes = bytes | bytearray | memoryview
"""The KV bytes of some cells; immutable once `seq_save` has returned them."""

AllocateMemory = Callable[[int], memoryview]
"""Returns a writable buffer of the given number of bytes."""


def allocate_memory(n_bytes: int) -> memoryview:
    """A buffer that is not zeroed: zeroing would cost more than the copy into it."""
    return np.empty(n_bytes, np.uint8).data


@dataclass(frozen=True, slots=True)
class TokenRun:
    """Tokens of one sequence at consecutive positions; `wants_logits` asks for the row behind its last token."""

    sequence: int
    position: int
    tokens: Sequence[int]
    wants_logits: bool = False


class Cut(Enum):
    """How far a sequence can be taken back at its end, so that reading may go on there."""

    FREELY = "freely"
    """To any position: every layer has full attention."""
    WINDOW = "window"
    """To where the sliding window before it is whole (`Backend.window_cells`); else its cells are restored first."""
    CHECKPOINT = "checkpoint"
    """Only to where a REST was saved: the state of recurrent layers cannot be taken back."""


class Part(Enum):
    """Parts of the state of a sequence."""

    WHOLE = "whole"
    CELLS = "cells"
    """Of the layers with full attention: one cell for each token."""
    REST = "rest"
    """Of all other layers: the cells of sliding windows, or the state of recurrent layers."""


class DecodeResult(IntEnum):
    """The result of a batch. Only DONE has evaluated all of it; NO_ROOM and REFUSED left the cells unchanged."""

    DONE = 0
    NO_ROOM = 1
    ABORTED = 2
    REFUSED = -1


@dataclass(frozen=True, slots=True)
class Choice:
    """One drawn token; `top` holds (token, probability) pairs when the settings asked for them."""

    token: int
    top: tuple[tuple[int, float], ...] = ()


class Sampler(Protocol):
    """Draws the tokens of one reply; keeps its penalties, grammar and random state."""

    def sample(self, row: int) -> Choice:
        """Draw from row `row` of the last decode, and remember the token."""

    def sample_from(self, logits: Logits) -> Choice:
        """Draw from a cached row, and remember the token."""

    def close(self) -> None:
        """Free the chain."""


class Backend(Protocol):
    """One model with its KV cache."""

    model_key: str
    """Identity of model, build and KV types (hex): KV bytes and token ids are valid only under the same key."""
    n_cells: int
    """Tokens that all sequences together can hold."""
    n_sequences: int
    """Sequence ids run from 0 to n_sequences - 1."""
    n_batch: int
    n_vocab: int
    n_context_train: int
    n_on_card: int
    """Layers on a card; with any, a decode may not ask in its middle whether it shall end (`set_abort`)."""
    can_drop: bool
    """Whether cells can be removed from the middle. False: the state can only be kept and loaded as a whole."""
    can_move: bool
    """Whether cells can get other positions (shift)."""
    cut: Cut
    n_window: int
    """Tokens that a layer with a sliding window sees, the newest included; 0 without such layers."""
    chat_template: str
    bos: int | None
    """The token that a prompt begins with, when the model wants one."""
    bos_text: str
    eos_text: str
    """How chat templates write the tokens that begin a prompt and end a reply; empty when there is none."""

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Token ids of `text`; only with `special` can control tokens come out of it."""

    def piece(self, token: int) -> bytes:
        """The bytes of one token; control tokens give none."""

    def is_end(self, token: int) -> bool:
        """Whether this token ends a reply."""

    def decode(self, runs: Sequence[TokenRun]) -> DecodeResult:
        """Evaluate one batch; the runs that want logits get rows 0, 1, ... in their order."""

    def logits(self, row: int) -> Logits:
        """A copy of one row of the last decode."""

    def sampler(self, settings: SamplerSettings, history: Sequence[int]) -> Sampler:
        """A sampler whose penalties already know `history`."""

    def set_abort(self, wanted: Callable[[], bool] | None) -> None:
        """Poll `wanted` during decodes; when it returns true, the decode ends with ABORTED. None: never abort."""

    def seq_remove(self, sequence: int, start: int, end: int) -> bool:
        """Remove the cells at positions start <= p < end (end -1: to the last). False: this model cannot.

        With Cut.CHECKPOINT the end can be removed only when the rest belongs before it, or after `seq_strip`.
        """

    def seq_shift(self, sequence: int, start: int, end: int, delta: int) -> None:
        """Move positions start <= p < end (end -1: to the last) by delta; pending until the next decode."""

    def seq_copy(self, source: int, target: int, start: int, end: int) -> None:
        """Share the cells at start <= p < end (end -1: to the last) with `target`; copies no data.

        With Cut.CHECKPOINT the target's rest becomes the source's, whatever the range.
        """

    def seq_strip(self, sequence: int) -> None:
        """Cut.CHECKPOINT: take the rest away and leave the cells."""

    def seq_save(
        self,
        sequence: int,
        n_cells: int = 0,
        allocate: AllocateMemory = allocate_memory,
        part: Part = Part.WHOLE,
    ) -> StateBytes:
        """The bytes of a part of the state of a sequence, in a buffer from `allocate`.

        With `n_cells`, the exact number of cells, it is faster; only for models with Cut.FREELY.
        """

    def seq_load(self, sequence: int, data: StateBytes, part: Part = Part.WHOLE) -> bool:
        """Fill a sequence with a saved part, at the positions at which it was saved. False: refused, and it is empty.

        WHOLE and CELLS need an empty sequence; REST replaces what the sequence has of it.
        """

    def window_cells(self, sequence: int) -> int:
        """Cut.WINDOW: how many of the last `n_window` positions the layers with a window still hold."""

    def seq_end(self, sequence: int) -> int:
        """The next position: that of the last cell plus 1, 0 for an empty sequence."""

    def clear(self) -> None:
        """Remove every cell."""

    def close(self) -> None:
        """Free the model."""
