"""The server that comes with llama-cpp-python: one chat at a time, prompts as text."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.peers.client import ClientChat, Prompt, Reply, answers, stream
from bench.peers.system import Setting, Watch, free_port, until
from bench.peers.talk import Line, Words

_REST = re.compile(rb"remaining (\d+) prompt tokens to eval|(full prompt already cached)")


class LlamaPython:
    """A `System`. Its best is the RAM cache and flash attention; its defaults have neither."""

    def __init__(self, words: Words, setting: Setting, best: bool = True) -> None:
        self.name = "llama-cpp-python" if best else "llama-cpp-python, defaults"
        self._words, self._setting = words, setting
        self._port = free_port()
        cache = ("--cache", "true", "--cache_size", str(setting.ram_mb << 20), "--flash_attn", "true")
        self._command = [
            *(sys.executable, "-m", "llama_cpp.server", "--model", str(setting.model)),
            *("--n_ctx", str(setting.context), "--n_threads", str(setting.threads)),
            *("--n_threads_batch", str(setting.threads), "--host", "127.0.0.1", "--port", str(self._port)),
            *("--interrupt_requests", "false", *(cache if best else ())),
        ]
        self._log = tempfile.NamedTemporaryFile(prefix="peer-", suffix=".log")  # noqa: SIM115 (as long as we are)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "LlamaPython":
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log)
        until(lambda: answers(self._port, "/v1/models"), self.name)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(20)

    def restart(self) -> None:
        self.__exit__()
        self.__enter__()

    def chat(self, lines: Sequence[Line], person: int = 0) -> ClientChat:
        return ClientChat(lines, self._words, self._setting, self._complete)

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
