"""Which events of which turn a tab already has: decides what to forward, what to drop and when something is missing.

What it does: keeps the last sequence number per turn and gives a verdict on every event.
What it refuses to know: Redis, SQL, sockets. Pub/sub may lose or double messages at any time; that is why this exists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

ENDS = frozenset({"done", "cancelled", "failed"})


class EventVerdict(Enum):
    """What to do with an event."""

    SEND = "send"
    DROP = "drop"  # the tab has it already
    GAP = "gap"  # events before it are missing: read the stream
    LOST = "lost"  # the stream that the tab knows is gone, this is of a new one: begin again


@dataclass
class _Progress:
    attempt: int
    seq: int
    stream: str | None = None  # None: not known yet
    ended: bool = False


class EventCursor:
    """The progress of one tab in one chat. Used by one thread only."""

    def __init__(self) -> None:
        self._turns: dict[str, _Progress] = {}

    def resume(self, turn_id: str, after_seq: int, stream: str | None = None) -> None:
        """The tab says that it has everything of this turn up to `after_seq` of `stream`."""
        self._turns[turn_id] = _Progress(0, after_seq, stream)

    def last_seq(self, turn_id: str) -> int:
        """The last sequence number that the tab has of this turn, 0 for none."""
        progress = self._turns.get(turn_id)
        return progress.seq if progress else 0

    def has_all(self, turn_id: str, seq: int, stream: str) -> bool:
        """Whether the tab has everything of this turn up to `seq`, and from this stream."""
        progress = self._turns.get(turn_id)
        return progress is not None and progress.seq >= seq and progress.stream == stream

    def known(self, turn_id: str, stream: str) -> int:
        """The last sequence number that the tab has of this stream, 0 when it knows another one or none."""
        progress = self._turns.get(turn_id)
        return progress.seq if progress and progress.stream == stream else 0

    def ended(self, turn_id: str) -> bool:
        """Whether the tab was told how this turn ended."""
        progress = self._turns.get(turn_id)
        return progress is not None and progress.ended

    def end(self, turn_id: str) -> None:
        """Nothing more is to be said about this turn."""
        self._turns[turn_id] = _Progress(0, 0, ended=True)

    def judge(self, event: Mapping[str, Any]) -> EventVerdict:
        """The verdict on a sequenced event; SEND counts it as sent."""
        progress = self._turns.setdefault(str(event["turn"]), _Progress(0, 0))
        seq, attempt = int(event["seq"]), int(event["attempt"])
        if progress.ended:
            return EventVerdict.DROP
        if progress.stream not in (None, event.get("stream")):
            return EventVerdict.LOST
        if seq <= progress.seq:
            return EventVerdict.DROP
        if seq > progress.seq + 1:
            return EventVerdict.GAP
        progress.seq, progress.stream = seq, event.get("stream")
        progress.attempt = max(attempt, progress.attempt)
        progress.ended = event["type"] in ENDS
        return EventVerdict.SEND
