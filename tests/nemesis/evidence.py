"""What one round left behind: the evidence for the checker, and the shape of a violation. Pure.

What it refuses to know: what is right and wrong (checker.py, stream_rules.py).
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

TAG = re.compile(r"p\d\dc\d\d\dt\dn\d\d\dx[0-9a-f]{6}")
ENDED = ("done", "failed", "cancelled")
RUNNING = ("waking", "reading", "writing")


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
        """turn -> the texts that it wrote beside the user's, in order."""
        found = defaultdict(list)
        for messages in self.messages.values():
            for message in messages:
                for alternative in message["alternatives"]:
                    if message["role"] != "user":
                        found[alternative["turn_id"]].append(alternative["text"])
        return found
