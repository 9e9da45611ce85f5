"""A peer that is one process and answers over HTTP: started, waited for, killed."""

import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence

from bench.peers.client import ClientChat, Prompt, Reply, answers
from bench.peers.system import Setting, free_port, until
from bench.peers.talk import Line, Words


class Served(ABC):
    """A `System`. A subclass gives a name, a command, a page that answers when it is ready, and `_complete`."""

    def __init__(self, name: str, words: Words, setting: Setting, ready: str) -> None:
        self.name = name
        self._words, self._setting, self._ready = words, setting, ready
        self._port = free_port()
        self._command: list[str] = []
        self._log = tempfile.NamedTemporaryFile(prefix="peer-", suffix=".log")  # noqa: SIM115 (as long as we are)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Served":
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log)
        until(lambda: answers(self._port, self._ready), self.name)
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

    @abstractmethod
    def _complete(self, prompt: Prompt) -> Reply:
        """Have a prompt completed."""
