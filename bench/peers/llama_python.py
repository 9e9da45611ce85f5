"""The server that comes with llama-cpp-python: one chat at a time, prompts as text."""

import re
import sys
from pathlib import Path

from bench.peers.client import Prompt, Reply, stream
from bench.peers.served import Served
from bench.peers.system import Setting, Watch
from bench.peers.talk import Words

_REST = re.compile(rb"remaining (\d+) prompt tokens to eval|(full prompt already cached)")


class LlamaPython(Served):
    """A `System`. Its best is the RAM cache and flash attention; its defaults have neither."""

    def __init__(self, words: Words, setting: Setting, best: bool = True) -> None:
        super().__init__("llama-cpp-python" if best else "llama-cpp-python, defaults", words, setting, "/v1/models")
        cache = ("--cache", "true", "--cache_size", str(setting.ram_mb << 20), "--flash_attn", "true")
        self._command = [
            *(sys.executable, "-m", "llama_cpp.server", "--model", str(setting.model)),
            *("--n_ctx", str(setting.context), "--n_threads", str(setting.threads)),
            *("--n_threads_batch", str(setting.threads), "--host", "127.0.0.1", "--port", str(self._port)),
            *("--interrupt_requests", "false", *(cache if best else ())),
        ]

    def _complete(self, prompt: Prompt) -> Reply:
        ends = self._words.ends()
        body = {
            "prompt": self._words.written_out(prompt.tokens()),
            "max_tokens": self._setting.reply,
            "temperature": 0,
            "repeat_penalty": 1.0,
            "stream": True,
            "logit_bias": dict.fromkeys(map(str, ends), -100),
        }
        logged = Path(self._log.name).stat().st_size
        watch = Watch()
        for event in stream(self._port, "/v1/completions", body):
            watch.hear(event["choices"][0]["text"])
        return Reply(watch.turn(self._evaluated(logged, len(prompt.tokens())), self._setting.reply))

    def _evaluated(self, logged: int, n_tokens: int) -> int:
        """Prompt tokens that were decoded, as its log says; it says nothing when that was all of them."""
        said = _REST.findall(Path(self._log.name).read_bytes()[logged:])
        return n_tokens if not said else int(said[-1][0] or 0)
