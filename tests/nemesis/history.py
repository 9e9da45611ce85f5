"""The history: what every tab sent, heard and was acknowledged, in order, on one clock.

What it does: keeps notes from many threads, and writes them down for people when something is wrong.
What it refuses to know: what the notes mean (checker.py).
"""

import json
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Note:
    """`what`: up, down, sent, heard, acked, refused, ended, fault, healed. `tab`: "person.tab", "" for the nemesis."""

    at: float
    tab: str
    line: int  # how many connections this tab has had
    what: str
    chat: str | None
    turn: str | None
    body: Any


class History:
    """Grows; any thread may add."""

    def __init__(self):
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self.notes = []

    def add(self, what, tab="", line=0, chat=None, turn=None, body=None):
        """Write one thing down."""
        with self._lock:
            self.notes.append(Note(time.monotonic() - self._started, tab, line, what, chat, turn, body))

    def cut(self):
        """All notes so far; from now on an empty history."""
        with self._lock:
            notes, self.notes = self.notes, []
            return notes


def excerpt(notes, turn=None, chat=None, limit=60):
    """The notes about one turn or chat, for people."""
    about = [
        note for note in notes if (turn and note.turn == turn) or (chat and note.chat == chat) or note.what == "fault"
    ]
    if about:
        first = next((note.at for note in about if note.what != "fault"), 0.0)
        about = [note for note in about if note.at >= first - 3]
    shown = about if len(about) <= limit else [*about[: limit // 2], None, *about[-limit // 2 :]]
    return "\n".join("      ..." if note is None else line_of(note) for note in shown)


def line_of(note):
    """One note on one line."""
    turn = (note.turn or "")[:8]
    return f"{note.at:9.3f}  {note.tab:>6}/{note.line:<3} {note.what:<8} {turn:<8}  {_short(note.body)}"


def write(notes, path):
    """All of them, one JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(note), ensure_ascii=False, default=str) + "\n" for note in notes)


def _short(body, limit=150):
    text = json.dumps(body, ensure_ascii=False, default=str)
    return text if len(text) <= limit else text[:limit] + "..."
