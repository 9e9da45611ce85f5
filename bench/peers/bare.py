"""Two lines without a server: the bare decode loop, which is the bound, and reading everything again."""

import time
from collections.abc import Sequence

import llama_cpp as llama

from bench.peers.system import Setting
from engine.backend import TokenRun
from engine.backends.llama import LlamaBackend, LlamaOptions


class Bare:
    """llama_decode and a greedy sampler in the shortest loop that Python allows. Use on one thread only."""

    def __init__(self, setting: Setting, n_sequences: int = 2) -> None:
        options = LlamaOptions(setting.context * (n_sequences - 1), n_sequences, n_threads=setting.threads)
        self.backend = LlamaBackend(setting.model, options)
        self._greedy = llama.llama_sampler_init_greedy()
        self._n_held = 0

    def __enter__(self) -> "Bare":
        return self

    def __exit__(self, *_error: object) -> None:
        llama.llama_sampler_free(self._greedy)
        self.backend.close()

    def hold(self, old: Sequence[int]) -> None:
        """Have nothing but `old` in the cells."""
        self.backend.clear()
        self._read(old, 0)
        self._n_held = len(old)

    def first_s(self, new: Sequence[int], times: int = 1) -> list[float]:
        """Seconds to the first token when what is held is in the cells and `new` is not."""
        seconds = []
        for _ in range(times):
            started = time.monotonic()
            self._read(new, self._n_held)
            self._next()
            seconds.append(time.monotonic() - started)
            self.backend.seq_remove(0, self._n_held, -1)
        return seconds

    def tokens_per_s(self, prompt: Sequence[int], n_tokens: int) -> float:
        """Of writing behind a prompt."""
        self.backend.clear()
        self._read(prompt, 0)
        token, buffer = self._next(), (llama.llama_token * 1)()
        with self.backend.cpu_affinity:
            started = time.monotonic()
            for _ in range(n_tokens):
                buffer[0] = token
                llama.llama_decode(self.backend._context, llama.llama_batch_get_one(buffer, 1))
                token = self._next()
            return n_tokens / (time.monotonic() - started)

    def _read(self, tokens: Sequence[int], position: int) -> None:
        step = self.backend.n_batch
        for start in range(0, len(tokens), step):
            part = tokens[start : start + step]
            self.backend.decode([TokenRun(0, position + start, part, start + step >= len(tokens))])

    def _next(self) -> int:
        return int(llama.llama_sampler_sample(self._greedy, self.backend._context, -1))
