"""What every system can do here, whoever it is: start, hold chats, answer turns, be killed.

To add one: the verbs of `System` and `Talker`; a server that only completes prompts gets them from client.py.
"""

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.peers.talk import Line


@dataclass(frozen=True)
class Setting:
    """The same for all systems: the model file, tokens per chat, threads, tokens of a reply, turns at once, people.

    `similarity` is llama-server's alone: how much of a slot has to fit before it may be taken over. `card_gb` is
    inglenook's: what it may use of a card, where there is one.
    """

    model: Path
    context: int = 2048
    threads: int = 2
    reply: int = 16
    lanes: int = 2
    ram_mb: int = 2048
    disk_mb: int = 4096
    people: int = 1
    similarity: float = 0.5
    card_gb: float = 6.0


@dataclass(frozen=True)
class Turn:
    """One answered turn, as its client saw it. `evaluated`: prompt tokens decoded, None where nobody tells.

    `pieces`: when text came, in seconds after the turn was sent, and how many characters.
    """

    first_s: float
    total_s: float
    evaluated: int | None
    generated: int
    text: str
    pieces: tuple[tuple[float, int], ...] = ()
    sent_at: float = 0.0

    def raw(self) -> dict[str, Any]:
        """For the file of raw results."""
        return {name: value for name, value in asdict(self).items() if name not in ("text", "pieces")}


class Talker(Protocol):
    """One chat of one person."""

    def send(self, text: str) -> Turn:
        """Say something and wait for the whole reply."""

    def retry(self) -> Turn:
        """Another alternative of the last reply."""

    def edit(self, text: str) -> Turn:
        """Change the last thing said, and have it answered anew."""

    def narrate(self) -> Turn:
        """A narrator describes the scene."""

    def suggest(self) -> Turn:
        """A draft of the person's next line, which is thrown away."""

    def n_forgotten(self) -> int:
        """Messages that have left the context so far."""


class System(Protocol):
    """Use as a context manager: it serves inside."""

    name: str

    def __enter__(self) -> "System": ...

    def __exit__(self, *_error: object) -> None: ...

    def chat(self, lines: Sequence[Line], person: int = 0) -> Talker:
        """A chat that has these messages; nothing of it has been read yet."""

    def restart(self) -> None:
        """kill -9 of everything, and start again."""


class Watch:
    """The clock of one turn: when it was sent, when text came."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.pieces: list[tuple[float, int]] = []
        self._texts: list[str] = []

    def hear(self, text: str, came: float | None = None) -> None:
        """Some text came."""
        if text:
            self.pieces.append(((came or time.monotonic()) - self.began, len(text)))
            self._texts.append(text)

    def turn(self, evaluated: int | None, generated: int, came: float | None = None) -> Turn:
        """It is over. A reply without any text counts as if its text came with its end."""
        total = (came or time.monotonic()) - self.began
        first = self.pieces[0][0] if self.pieces else total
        return Turn(first, total, evaluated, generated, "".join(self._texts), tuple(self.pieces), self.began)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], what: str, limit_s: float = 120.0) -> None:
    """Wait. Raises TimeoutError."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {limit_s:.0f} s")
        time.sleep(0.02)
