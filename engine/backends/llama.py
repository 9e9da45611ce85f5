"""The llama.cpp backend, on the low-level calls of llama-cpp-python 0.3.36.

Only this module and its neighbours llama_*.py import llama_cpp; llama_loading.py makes model and context. What it
refuses to know: sessions, segments, lanes. Choices, all measured (docs/decisions/engine.md): one unified KV cache
(range copies between streams abort the process); flash attention always on (without it V is stored transposed and
saving is a hundred times slower); state only through get_data/set_data in memory (the file calls abort on a truncated
file); no batch above n_batch (abort).

On a card a decode cannot be broken off in its middle; how long one takes is bounded by its tokens (kv/cost_model.py).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import llama_cpp as llama
import numpy as np

from engine.backend import AllocateMemory, Cut, DecodeResult, Logits, Part, StateBytes, TokenRun, allocate_memory
from engine.backends import llama_loading, llama_log
from engine.backends.llama_affinity import CpuAffinity, threads_beside_card, usable_cpus
from engine.backends.llama_batch import BatchArrays
from engine.backends.llama_loading import KV_TYPES, LlamaOptions, check_model_file, has_gpu
from engine.backends.llama_sampler import LlamaSampler
from engine.backends.llama_state import LlamaState, can_shift
from engine.errors import ComputeError, EngineClosed, ModelError
from engine.sampling import SamplerSettings
from engine.text.reasoning import REASONING_MARKERS

__all__ = ["KV_TYPES", "LlamaBackend", "LlamaOptions", "check_model_file", "has_gpu"]


class LlamaBackend:
    """One GGUF model with one llama context. See engine.backend.Backend for the verbs."""

    def __init__(self, path: Path, options: LlamaOptions | None = None) -> None:
        options = options or LlamaOptions()
        check_model_file(path)
        os.environ.setdefault("GGML_NO_BACKTRACE", "1")
        llama_log.install()
        llama.llama_backend_init()
        self._model, self.n_on_card, self.n_layers = llama_loading.load_model(path, options)
        n_threads = options.n_threads or (threads_beside_card() if self._all_on_card else len(usable_cpus()))
        self._vocab = llama.llama_model_get_vocab(self._model)
        self._context = llama_loading.make_context(self._model, options, n_threads)
        self._memory = llama.llama_get_memory(self._context)
        self._read_facts(path, options)
        self._batch, self.n_evaluated = BatchArrays(self.n_batch), 0
        self._n_outputs = options.n_outputs or self.n_batch
        self.cpu_affinity = CpuAffinity(1 if self._all_on_card else n_threads)
        self._read_memory_facts(options)
        self._pieces: dict[int, bytes] = {}
        self._abort_callback: object = None
        self._ends = tuple(token for token in range(self.n_vocab) if self.is_end(token))

    @property
    def _all_on_card(self) -> bool:
        return self.n_on_card == self.n_layers

    def _read_facts(self, path: Path, options: LlamaOptions) -> None:
        self.n_cells = llama.llama_n_ctx(self._context)
        self.n_sequences = options.n_sequences
        self.n_batch = min(options.n_batch, options.n_cells)
        self.n_vocab = llama.llama_vocab_n_tokens(self._vocab)
        self.n_context_train = llama.llama_model_n_ctx_train(self._model)
        template = llama.llama_model_chat_template(self._model, None)
        self.chat_template = template.decode() if template else ""
        wants_bos = llama.llama_vocab_get_add_bos(self._vocab)
        self.bos = llama.llama_vocab_bos(self._vocab) if wants_bos else None
        self.bos_text = self._text_of(llama.llama_vocab_bos(self._vocab))
        self.eos_text = self._text_of(llama.llama_vocab_eos(self._vocab))
        self.model_key = llama_loading.fingerprint(path, options.kv_type)

    def _read_memory_facts(self, options: LlamaOptions) -> None:
        """What the model allows with its cells. Asked of llama.cpp, and tried where the state has a rest."""
        self.n_window = max(0, llama.llama_model_n_swa(self._model))
        recurrent = llama.llama_model_is_recurrent(self._model)
        with_state = recurrent or llama.llama_model_is_hybrid(self._model)
        self.cut = Cut.CHECKPOINT if with_state else Cut.WINDOW if self.n_window else Cut.FREELY
        self.n_window = self.n_window if self.cut is Cut.WINDOW else 0
        self.can_move = not recurrent and can_shift(self._model, self._memory)
        self._state = LlamaState(self._context, self._memory, self.cut, options.n_sequences - 1)
        self.can_drop = self.cut is Cut.FREELY or (not recurrent and self._state.probe(self._decode_one))

    def _decode_one(self) -> None:
        """Add a token to sequence 0, for a probe."""
        run = TokenRun(0, self.seq_end(0), (0,), wants_logits=True)
        if self.decode([run]) is not DecodeResult.DONE:
            raise ModelError("llama.cpp loads this model but cannot decode a token with it: choose another")
        self.n_evaluated -= 1

    def _text_of(self, token: int) -> str:
        return bytes(llama.llama_vocab_get_text(self._vocab, token)).decode(errors="replace") if token >= 0 else ""

    # -- words ------------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Token ids of `text`, without BOS."""
        if self._context is None:  # a freed vocabulary would end the process
            raise EngineClosed("the model has been closed")
        data = text.encode()
        size = len(data) + 16
        buffer = (llama.llama_token * size)()
        n_tokens = llama.llama_tokenize(self._vocab, data, len(data), buffer, size, False, special)
        if n_tokens < 0:
            size = -n_tokens
            buffer = (llama.llama_token * size)()
            n_tokens = llama.llama_tokenize(self._vocab, data, len(data), buffer, size, False, special)
        return list(buffer[:n_tokens])

    def piece(self, token: int) -> bytes:
        """The bytes of one token (cached); empty for control tokens, except those that mark reasoning."""
        piece = self._pieces.get(token)
        if piece is None:
            buffer = ctypes.create_string_buffer(256)
            length = llama.llama_token_to_piece(self._vocab, token, buffer, 256, 0, False)
            piece = buffer.raw[: max(length, 0)]
            if not piece and (text := self._text_of(token)) in REASONING_MARKERS:
                piece = text.encode()
            self._pieces[token] = piece
        return piece

    def is_end(self, token: int) -> bool:
        """Whether the model ends its reply with this token."""
        return bool(llama.llama_vocab_is_eog(self._vocab, token))

    # -- decode -----------------------------------------------------------------------------------------------------

    def decode(self, runs: Sequence[TokenRun]) -> DecodeResult:
        """One llama_decode. ABORTED may have processed a part: ask seq_end."""
        n_tokens = self._batch.fill(runs)
        if len(self._batch.rows) > self._n_outputs:  # llama.cpp would end the process
            raise ValueError(f"{len(self._batch.rows)} rows of logits of one batch, at most {self._n_outputs}")
        with self.cpu_affinity:
            code = llama.llama_decode(self._context, self._batch.struct)
            if self.n_on_card:  # a card computes on after the call: what follows would be timed and counted wrongly
                llama.llama_synchronize(self._context)
        if code < -1:
            raise ComputeError(
                f"llama.cpp could not compute a batch of {n_tokens} tokens (code {code}: {llama_log.last_complaint()})"
            )
        if code == 0:
            self.n_evaluated += n_tokens
            return DecodeResult.DONE
        return DecodeResult(code) if code in (1, 2) else DecodeResult.REFUSED

    def logits(self, row: int) -> Logits:
        """A copy of one row of the last decode, float32 (n_vocab,)."""
        pointer = llama.llama_get_logits_ith(self._context, self._batch.rows[row])
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,)).copy()

    def sampler(self, settings: SamplerSettings, history: Sequence[int]) -> LlamaSampler:
        """A fresh chain that has seen `history`."""
        row_index = self._batch.row_index
        return LlamaSampler(self._model, self._context, settings, history, row_index, self._ends)

    def set_abort(self, wanted: Callable[[], bool] | None) -> None:
        """Install llama.cpp's abort callback (CPU backends ask it between graph nodes)."""
        callback = llama.ggml_abort_callback((lambda _data: bool(wanted())) if wanted else 0)
        llama.llama_set_abort_callback(self._context, callback, ctypes.c_void_p(0))
        self._abort_callback = callback  # ctypes does not keep it alive

    # -- cells ------------------------------------------------------------------------------------------------------

    def seq_remove(self, sequence: int, start: int, end: int) -> bool:
        """llama_memory_seq_rm; false on models that cannot remove a part."""
        return bool(llama.llama_memory_seq_rm(self._memory, sequence, start, end))

    def seq_shift(self, sequence: int, start: int, end: int, delta: int) -> None:
        """llama_memory_seq_add: marks the cells, K is rotated at the next decode."""
        llama.llama_memory_seq_add(self._memory, sequence, start, end, delta)

    def seq_copy(self, source: int, target: int, start: int, end: int) -> None:
        """llama_memory_seq_cp: tags the cells, copies nothing in a unified cache."""
        llama.llama_memory_seq_cp(self._memory, source, target, start, end)

    def seq_strip(self, sequence: int) -> None:
        """See engine/backends/llama_state.py."""
        self._state.strip(sequence)

    def seq_save(
        self,
        sequence: int,
        n_cells: int = 0,
        allocate: AllocateMemory = allocate_memory,
        part: Part = Part.WHOLE,
    ) -> StateBytes:
        """See engine/backends/llama_state.py. With Cut.CHECKPOINT, saving CELLS strips the sequence."""
        return self._state.save(sequence, n_cells, allocate, part)

    def seq_load(self, sequence: int, data: StateBytes, part: Part = Part.WHOLE) -> bool:
        """See engine/backends/llama_state.py; after a refusal the partly filled sequence is cleared."""
        return self._state.load(sequence, data, part)

    def window_cells(self, sequence: int) -> int:
        """See engine/backends/llama_state.py."""
        return self._state.window_cells(sequence)

    def seq_end(self, sequence: int) -> int:
        """llama_memory_seq_pos_max plus 1."""
        return int(llama.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def clear(self) -> None:
        """llama_memory_clear with data."""
        llama.llama_memory_clear(self._memory, True)

    def close(self) -> None:
        """Free context and model; safe to call twice."""
        if self._context:
            llama.llama_free(self._context)
            llama.llama_model_free(self._model)
            self._context = self._model = None
