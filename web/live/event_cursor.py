"""The event cursor of a tab: the last event that it has of each turn, so that a gap or a duplicate is seen.

What it does: pub/sub delivers at most once and may repeat after a reconnect; `judge` says for each event whether to
forward it, to drop it as a duplicate, or that events before it are missing. Pure.
What it refuses to know: Redis, SQL, sockets. A gap is refilled from the stream by gap_refill.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from store.broker.events import LAST_TYPES


class EventVerdict(Enum):
    """What to do with an event."""

    FORWARD = "forward"
    DUPLICATE = "duplicate"  # the tab has it already
    GAP = "gap"  # events before it are missing: read them from the stream
    STREAM_LOST = "stream_lost"  # it is of another stream than the tab knows (Redis was emptied): take a new snapshot


@dataclass
class _Progress:
    seq: int
    stream: str | None = None  # None: not known yet
    ended: bool = False


class EventCursor:
    """The progress of one tab in the turns of one chat. Used by one thread only."""

    def __init__(self) -> None:
        self._turns: dict[str, _Progress] = {}

    def resume(self, turn_id: str, after_seq: int, stream: str | None = None) -> None:
        """The tab says that it has every event of this turn up to `after_seq` of `stream`."""
        self._turns[turn_id] = _Progress(after_seq, stream)

    def last_seq(self, turn_id: str, stream: str | None = None) -> int:
        """The last sequence number that the tab has of this turn; 0 for none, or none of this `stream`."""
        progress = self._turns.get(turn_id)
        if progress is None or stream not in (None, progress.stream):
            return 0
        return progress.seq

    def has_all(self, turn_id: str, seq: int, stream: str) -> bool:
        """Whether the tab has every event of this turn up to `seq` of this stream."""
        progress = self._turns.get(turn_id)
        return progress is not None and progress.seq >= seq and progress.stream == stream

    def ended(self, turn_id: str) -> bool:
        """Whether the tab has the last event of this turn."""
        progress = self._turns.get(turn_id)
        return progress is not None and progress.ended

    def end(self, turn_id: str) -> None:
        """Drop every further event of this turn."""
        self._turns[turn_id] = _Progress(0, ended=True)

    def judge(self, event: Mapping[str, Any]) -> EventVerdict:
        """The verdict on an event with a sequence number; FORWARD moves the cursor past it."""
        progress = self._turns.setdefault(str(event["turn"]), _Progress(0))
        seq = int(event["seq"])
        if progress.ended:
            return EventVerdict.DUPLICATE
        if progress.stream not in (None, event.get("stream")):
            return EventVerdict.STREAM_LOST
        if seq <= progress.seq:
            return EventVerdict.DUPLICATE
        if seq > progress.seq + 1:
            return EventVerdict.GAP
        progress.seq, progress.stream = seq, event.get("stream")
        progress.ended = event["type"] in LAST_TYPES
        return EventVerdict.FORWARD
