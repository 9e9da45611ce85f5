"""A chat with a server that only completes prompts: the client keeps the story, as every frontend for them does.

The client is a good one. It sends exactly the tokens that were read and written before (where the server takes tokens),
and when the context is full it drops whole oldest messages down to three quarters, as inglenook does: few big evictions
suit the peers' caches, too. Lore stands right in front of the newest message, where it spoils least.
"""

import http.client
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.peers.system import Setting, Turn
from bench.peers.talk import CHAR, LORE, LORE_WORD, NARRATOR, USER, Line, Words, asked


@dataclass(frozen=True)
class Prompt:
    """What is to be completed."""

    lines: Sequence[Line]
    header: tuple[int, ...]

    def tokens(self) -> list[int]:
        """As token ids."""
        return [*(token for line in self.lines for token in line.tokens), *self.header]


@dataclass(frozen=True)
class Reply:
    """A completion: what its client saw, and its tokens where they are told."""

    turn: Turn
    tokens: tuple[int, ...] = ()


Complete = Callable[[Prompt], Reply]


class ClientChat:
    """A `Talker` whose story is here; `complete` asks the server."""

    def __init__(self, lines: Sequence[Line], words: Words, setting: Setting, complete: Complete) -> None:
        self._lines, self._words, self._setting, self._complete = list(lines), words, setting, complete
        self._n_forgotten = 0

    def send(self, text: str) -> Turn:
        self._lines.append(self._words.line("user", USER, text))
        lore = [self._words.line("note", "", LORE)] if LORE_WORD in text else []
        return self._answered("character", CHAR, lore)

    def retry(self) -> Turn:
        self._lines.pop()
        return self._answered("character", CHAR)

    def edit(self, text: str) -> Turn:
        del self._lines[-2:]
        return self.send(text)

    def narrate(self) -> Turn:
        return self._answered("narrator", NARRATOR, [self._words.line("note", "", asked("narrate"))], behind=True)

    def suggest(self) -> Turn:
        turn = self._answered("user", USER, [self._words.line("note", "", asked("suggest"))], behind=True)
        self._lines.pop()
        return turn

    def n_forgotten(self) -> int:
        return self._n_forgotten

    def _answered(self, role: str, name: str, note: Sequence[Line] = (), behind: bool = False) -> Turn:
        """Ask for a reply and keep it; `note` is read for this turn only, before or behind the newest message."""
        header = self._words.header(role, name)
        self._fit(len(header) + sum(len(line.tokens) for line in note))
        shown = [*self._lines, *note] if behind else [*self._lines[:-1], *note, self._lines[-1]]
        reply = self._complete(Prompt((self._words.persona, *shown), header))
        if reply.tokens:
            self._lines.append(self._words.written(role, name, reply.turn.text, reply.tokens))
        else:
            self._lines.append(self._words.line(role, name, reply.turn.text))
        return reply.turn

    def _fit(self, n_more: int) -> None:
        """Drop the oldest messages when the next reply might not fit."""
        sizes = [len(line.tokens) for line in self._lines]
        fixed = len(self._words.persona.tokens) + n_more + self._setting.reply + 4
        if fixed + sum(sizes) <= self._setting.context:
            return
        n_gone = 0
        while fixed + sum(sizes[n_gone:]) > self._setting.context * 3 // 4 and n_gone < len(sizes) - 1:
            n_gone += 1
        del self._lines[:n_gone]
        self._n_forgotten += n_gone


def stream(port: int, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """POST, and the JSON of each server-sent event."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    line.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = line.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {answer.read().decode(errors='replace')[:500]}")
    for row in answer:
        if row.startswith(b"data: {"):
            yield json.loads(row[6:])
    line.close()


def answers(port: int, path: str) -> bool:
    """Whether a server is ready."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        line.request("GET", path)
        return line.getresponse().status == 200
    except OSError:
        return False
    finally:
        line.close()
