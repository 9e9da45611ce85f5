"""What one tab shows, by the rules of the browser's page: revision, the running turn, the text so far. Pure.

`hear` takes one message of the server and says whether the page would ask for a fresh snapshot ("open").
What it refuses to know: sockets, time, and what a person wants.
"""

from dataclasses import dataclass, field

ENDS = ("done", "cancelled", "failed")


@dataclass
class Live:
    """The turn under way as the tab shows it."""

    id: str
    attempt: int = 0
    seq: int = 0
    stream: str | None = None
    parts: dict[int, str] = field(default_factory=dict)
    holes: bool = False
    partial: bool = False  # begins with what the database had: perhaps an older attempt's words
    stop_asked: bool = False

    def write(self, event):
        """Take one `text` event."""
        part, offset = event["part"], event["offset"]
        if offset == 0 and part == 0:
            self.holes = self.partial = False
        self.attempt = max(self.attempt, event["attempt"])
        before = self.parts.get(part, "")
        if offset > len(before):
            self.holes = True
            before = before.ljust(offset, "\0")
        self.parts[part] = before[:offset] + event["text"]

    def begin(self, event):
        """Take one `part` event."""
        self.attempt = max(self.attempt, event["attempt"])
        self.parts = {part: text for part, text in self.parts.items() if part <= event["part"]}


class Screen:
    """One tab on one chat."""

    def __init__(self):
        self.revision = 0
        self.turn = None
        self.opened = False
        self.ended = None  # the last Live that ended in front of this tab, with the event that ended it
        self.n_gaps = 0

    def hear(self, message):
        """Take one message; True when the page would open the chat again."""
        if "seq" in message:
            return self._sequenced(message)
        handler = getattr(self, f"_{message['type']}", None)
        return bool(handler and handler(message))

    def _opened(self, message):
        self.opened = True
        self.revision = message["revision"]
        fresh = message["turn"]
        if self.turn and fresh and self.turn.id == fresh["id"]:
            if message["after"] == 0:
                self.turn.seq = 0
            return
        self.turn = None
        if fresh:
            self._begin(fresh["id"], fresh["attempt"], fresh["partial"])

    def _ack(self, message):
        self.revision = max(self.revision, message["revision"])
        if message["state"] in ENDS:
            return True
        if self.turn is None:
            self._begin(message["id"], 0, "")
        return False

    def _changed(self, message):
        mine = self.turn.id if self.turn else None
        return message["revision"] > self.revision or (message["turn"] is not None and message["turn"] != mine)

    def _begin(self, turn_id, attempt, partial):
        self.turn = Live(turn_id, attempt, parts={0: partial} if partial else {}, partial=bool(partial))

    def _sequenced(self, event):
        turn = self.turn
        if turn is None or event["turn"] != turn.id:
            return True
        if event["seq"] <= turn.seq:
            return False
        if event["seq"] > turn.seq + 1:
            self.n_gaps += 1
            return True
        turn.seq, turn.stream = event["seq"], event["stream"]
        if event["type"] == "text":
            turn.write(event)
        elif event["type"] == "part":
            turn.begin(event)
        elif event["type"] in ENDS:
            self.turn, self.ended = None, (turn, event)
            self.revision = max(self.revision, event.get("revision") or 0)
        return False
