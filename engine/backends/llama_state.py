"""The state of sequences in llama.cpp: saving, loading and taking apart (llama_state_seq_get_data_ext, set_data_ext).

A state is a header, the cells of full attention, and the rest; LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY leaves out the cells.
So CELLS are the first part of a whole state with the rest of an empty sequence behind it, which llama.cpp loads as a
state without a window or a recurrent state. `probe` tries all of this on the loaded model (docs/decisions/engine.md).
"""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp as llama
import numpy as np

from engine.backend import AllocateMemory, Cut, Part, StateBytes, allocate_memory
from engine.errors import ModelError

_HEADER_BYTES = 8  # magic and sequence id, in front of a whole state and of a rest
_REST_ONLY = 1  # LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
_FLAGS = {Part.WHOLE: 0, Part.CELLS: 0, Part.REST: _REST_ONLY}


class LlamaState:
    """The states of one context. `cut` says what kind of rest its model has."""

    def __init__(self, context: llama.llama_context_p, memory: Any, cut: Cut, scratch: int) -> None:
        self._context, self._memory, self._cut, self._scratch = context, memory, cut, scratch
        self._sizes: dict[int, int] = {}
        self._empty_rest = bytes(self._read(scratch, Part.REST, allocate_memory)) if cut is not Cut.FREELY else b""
        self._window_cell_bytes = self._window_bytes = 0

    def probe(self, decode_one: Any) -> bool:
        """Whether the state comes apart as the module text says, and cells leave the middle; `decode_one` adds a token.

        Sequence 0 and the scratch must be empty; they are empty afterwards.
        """
        sizes = []
        for _ in range(3):
            decode_one()
            sizes.append(self._size(0, Part.REST))
        self._window_cell_bytes = sizes[1] - sizes[0]
        self._window_bytes = sizes[0] - self._window_cell_bytes
        whole, rest = (bytes(self._read(0, part, allocate_memory)) for part in (Part.WHOLE, Part.REST))
        joined = whole[:_HEADER_BYTES] == rest[:_HEADER_BYTES] and whole.endswith(rest[_HEADER_BYTES:])
        drops = bool(llama.llama_memory_seq_rm(self._memory, 0, 0, 1))
        loads = joined and self.load(self._scratch, self._cells_of(whole, len(rest), allocate_memory), Part.CELLS)
        loads = loads and self.load(self._scratch, rest, Part.REST)
        for sequence in (0, self._scratch):
            llama.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return drops and loads

    def save(self, sequence: int, n_cells: int, allocate: AllocateMemory, part: Part) -> StateBytes:
        """See Backend.seq_save."""
        if part is not Part.CELLS or self._cut is Cut.FREELY:
            return self._read(sequence, part, allocate, n_cells)
        if self._cut is Cut.CHECKPOINT:
            self.strip(sequence)
            return self._read(sequence, Part.WHOLE, allocate)
        whole = self._read(sequence, Part.WHOLE, allocate_memory)
        return self._cells_of(whole, self._size(sequence, Part.REST), allocate)

    def load(self, sequence: int, data: StateBytes, part: Part) -> bool:
        """See Backend.seq_load."""
        flags = _FLAGS[part]
        taken = llama.llama_state_seq_set_data_ext(self._context, _address(data), len(data), sequence, flags)
        if taken == len(data):
            return True
        llama.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return False

    def strip(self, sequence: int) -> None:
        """See Backend.seq_strip: the rest of an empty sequence takes the place of what is there."""
        self.load(sequence, self._empty_rest, Part.REST)

    def window_cells(self, sequence: int) -> int:
        """See Backend.window_cells: told from the size of the rest, which grows by the same bytes with each cell."""
        size = self._size(sequence, Part.REST)
        return max(0, size - self._window_bytes) // self._window_cell_bytes if size > len(self._empty_rest) else 0

    def _read(self, sequence: int, part: Part, allocate: AllocateMemory, n_cells: int = 0) -> StateBytes:
        size = self._sizes.get(n_cells) or self._size(sequence, part)
        data = allocate(size)
        flags = _FLAGS[part]
        written = llama.llama_state_seq_get_data_ext(self._context, _address(data), size, sequence, flags)
        if written != size:
            raise ModelError(f"llama.cpp wrote {written} of {size} state bytes")
        if n_cells and self._cut is Cut.FREELY:  # asking llama.cpp for the size walks through all cells
            self._sizes[n_cells] = size
        return data

    def _size(self, sequence: int, part: Part) -> int:
        return int(llama.llama_state_seq_get_size_ext(self._context, sequence, _FLAGS[part]))

    def _cells_of(self, whole: StateBytes, rest_bytes: int, allocate: AllocateMemory) -> StateBytes:
        """The whole state with the rest of an empty sequence in place of its own."""
        n_kept, empty = len(whole) - rest_bytes + _HEADER_BYTES, self._empty_rest[_HEADER_BYTES:]
        data = allocate(n_kept + len(empty))
        data[:n_kept] = memoryview(whole)[:n_kept]
        data[n_kept:] = empty
        return data


def can_shift(model: llama.llama_model_p, memory: Any) -> bool:
    """Whether llama_memory_seq_add works. llama_memory_can_shift also says no to a compact window, where it does; there
    the kind of positions decides, as in llama_kv_cache::get_can_shift."""
    if llama.llama_memory_can_shift(memory) or not llama.llama_model_n_swa(model):
        return bool(llama.llama_memory_can_shift(memory))
    plain = (llama.LLAMA_ROPE_TYPE_NONE, llama.LLAMA_ROPE_TYPE_NORM, llama.LLAMA_ROPE_TYPE_NEOX)
    architecture = ctypes.create_string_buffer(64)
    llama.llama_model_meta_val_str(model, b"general.architecture", architecture, 64)
    return llama.llama_model_rope_type(model) in plain and architecture.value != b"step35"


def _address(data: StateBytes) -> Any:
    """A ctypes pointer to the bytes, which keeps a reference to them."""
    if isinstance(data, memoryview) and not data.readonly:
        return ctypes.byref(
            ctypes.c_uint8.from_buffer(data)
        )  # ten times faster than numpy's pointer when CPU caches are cold
    return np.frombuffer(data, np.uint8).ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
