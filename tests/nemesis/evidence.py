"""What one round left behind: the evidence for the checker, and the shape of a violation. Pure.

What it refuses to know: what is right and wrong (checker.py, stream_rules.py).
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

from store.turns.kinds import KINDS, Result

TAG = re.compile(r"p\d\dc\d\d\dt\dn\d\d\dx[0-9a-f]{6}")
ENDED = ("done", "failed", "cancelled")
RUNNING = ("waking", "reading", "writing")
WRITTEN = tuple(name for name, kind in KINDS.items() if kind.result is Result.MESSAGE)  # they leave words in the chat


@dataclass(frozen=True)
class Violation:
    """A promise that was broken."""

    rule: str
    words: str
    turn: str | None = None
    chat: str | None = None


@dataclass
class Evidence:
    """What one round left: the tabs' notes, and the database afterwards."""

    notes: list
    turns: dict  # id -> row
    steps: list  # audit.Step
    messages: dict  # chat -> messages in order
    echo: bool = True
    trouble: list[str] = field(default_factory=list)  # what the runner saw itself

    @cached_property
    def frames(self):
        """Every submit, by turn: the frame and when it was first sent."""
        found = {}
        for note in self.notes:
            if note.what == "sent" and note.body["type"] == "submit":
                found.setdefault(note.turn, (note.at, note.body))
        return found

    @cached_property
    def acked(self):
        """When each acknowledged turn was first acknowledged."""
        found = {}
        for note in self.notes:
            if note.what == "acked" or (note.what == "heard" and note.body["type"] == "ack"):
                found.setdefault(note.turn, note.at)
        return found

    @cached_property
    def tags(self):
        """The tags that were ever said in each chat."""
        found = defaultdict(set)
        for _, frame in self.frames.values():
            found[frame["chat"]].update(TAG.findall(frame["text"]))
        return found

    @cached_property
    def words(self):
        """turn -> the texts that it committed beside the user's message, in order; of one that grew, what is new."""
        found = defaultdict(list)
        for step in self.steps:
            if step.what in ("worded", "reworded") and step.state is not None:  # the user's comes before its turn
                before = step.text_before or ""
                found[step.turn].append(step.text[len(before) :] if step.text.startswith(before) else step.text)
        return found

    def text_of(self, turn, part):
        """What a part of an ended turn committed; None when it left nothing, or nothing that is text."""
        parts = self.turns[turn]["parts"]
        if part >= len(parts) or parts[part] == "status":
            return None
        if parts[part] == "suggest":
            return self.turns[turn]["suggestion"]
        written = sum(kind in WRITTEN for kind in parts[:part])
        return self.words[turn][written] if written < len(self.words[turn]) else None
