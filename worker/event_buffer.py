"""The event buffer of one attempt at a turn: coalesces live events into batches. Passive: no thread, no connection.

What it does: joins text that follows text (each event carries its offset in characters), drops repeated states, limits
the rate of reading progress, and remembers all parts and text for a replay, should Redis lose some of the stream.
Any thread may add events; only the publisher takes batches, one after the other.
What it refuses to know: when a batch is sent and over which connection (publisher.py), SQL, the engine.
To add an event:
    store/broker/events.py       the vocabulary in its docstring, and TYPES (or LAST_TYPES, if it ends the turn)
    here                         a method that adds it; REPLAYED_TYPES and `_parts_and_texts` if a replay contains it
    worker/publisher.py          the method of `TurnEvents` that adds it and wakes the publisher
    the call                     worker/reply_collector.py for what the engine reports, worker/attempt.py for waking and
                                 parts, worker/endings.py for the last event of an attempt
    web/live/protocol/to_tab.py  its type in `TurnEvent` and in OUTGOING
    web/live/outgoing.py         how it leaves for a tab; web/live/event_cursor.py if it is not simply passed on
    web/static/js/chat/          its handler, in the table of controller.js
    tests/worker/test_event_buffer.py, tests/store/test_broker_events.py
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from store.broker import events

PROGRESS_S = 0.25  # reading progress is kept at most this often
REPLAYED_TYPES = ("part", "text")  # what a replay sends again

Event = dict[str, Any]


class TurnEventBuffer:
    """What one attempt has to say and Redis does not have yet. `clock` in seconds."""

    def __init__(self, chat_id: str, turn_id: str, attempt: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.chat_id, self.turn_id, self.attempt = chat_id, turn_id, attempt
        self.stale = False  # a newer attempt has spoken: nothing of this one is sent any more
        self.ended_at: float | None = None
        self._clock = clock
        self._lock = threading.Lock()  # guards the fields below
        self._pending: list[Event] = []
        self._parts: list[Event] = []
        self._texts: list[str] = [""]  # of each part, in full
        self._last_state: Event | None = None
        self._last_progress_s = float("-inf")
        self._last_seq = 0  # the last sequence number that Redis gave

    # -- values in ----------------------------------------------------------------------------------------------------

    def text(self, piece: str) -> None:
        """Add a piece of the reply."""
        with self._lock:
            if self._pending and self._pending[-1]["type"] == "text":
                self._pending[-1]["text"] += piece
            else:
                self._pending.append(_text_event(len(self._texts) - 1, len(self._texts[-1]), piece))
            self._texts[-1] += piece

    def part(
        self, part: int, parts: int, kind: str, role: str, name: str, message: str | None, begins: str = ""
    ) -> None:
        """Begin part `part` of `parts`; `message` is the id of the message that it retries or continues, `begins` what
        the new alternative of a retry has already."""
        event = {"type": "part", "part": part, "parts": parts, "kind": kind, "role": role, "name": name}
        event |= {"begins": begins} if begins else {}
        with self._lock:
            self._parts.append(event | {"message": message})
            self._texts[part:] = [""]
            self._pending.append(self._parts[-1])

    def state(self, state: str, **details: Any) -> bool:
        """Add what the turn is doing now; False for a repetition, and for progress that comes too soon."""
        event = {"type": "state", "state": state, **details}
        with self._lock:
            if event == self._last_state or self._is_too_soon(event):
                return False
            if self._pending and self._pending[-1].get("state") == state:
                self._pending.pop()
            self._pending.append(event)
            self._last_state, self._last_progress_s = event, self._clock()
        return True

    def end(self, event: Event | None = None) -> None:
        """Add the last event of the attempt, if there is one."""
        with self._lock:
            if event is not None:
                self._pending.append(event)
            self.ended_at = self._clock()

    # -- batches out --------------------------------------------------------------------------------------------------

    def take(self) -> list[Event]:
        """Take all pending events; none when a newer attempt has spoken."""
        with self._lock:
            batch, self._pending = self._pending, []
        return [] if self.stale else batch

    def put_back(self, batch: list[Event]) -> None:
        """Put a batch that could not be sent before the pending events."""
        with self._lock:
            self._pending = _joined(batch, self._pending)

    def acknowledge(self, answer: events.Answer) -> None:
        """Note what Redis answered to a batch: sequence numbers, or that a newer attempt has spoken."""
        if isinstance(answer, events.Refusal):
            self.stale = True
        elif answer:
            self._last_seq = answer[-1]

    def replay(self, batch: list[Event]) -> list[Event]:
        """The batch for a new stream after Redis has lost events: all parts and text from offset 0, the end last."""
        with self._lock:
            replayed = self._parts_and_texts()
            self._pending = [event for event in self._pending if event["type"] not in REPLAYED_TYPES]
        self._last_seq = events.BEGIN_ANEW
        others = [event for event in batch if event["type"] not in REPLAYED_TYPES]
        ends = [event for event in others if event["type"] in events.LAST_TYPES]
        return [*(event for event in others if event not in ends), *replayed, *ends]

    def as_batch(self, batch: list[Event]) -> events.AppendBatch:
        """Taken events in the form in which the store appends them."""
        return events.AppendBatch(self.chat_id, self.turn_id, self.attempt, batch, self._last_seq)

    # -- inside, with the lock held -----------------------------------------------------------------------------------

    def _is_too_soon(self, event: Event) -> bool:
        same = self._last_state is not None and self._last_state["state"] == event["state"]
        finished = event.get("done") is not None and event.get("done") == event.get("total")
        return same and not finished and self._clock() - self._last_progress_s < PROGRESS_S

    def _parts_and_texts(self) -> list[Event]:
        """All parts and their text from the first on."""
        texts = [_text_event(part, 0, text) for part, text in enumerate(self._texts)]
        parts = [*self._parts, *([None] * (len(texts) - len(self._parts)))]
        pairs = [event for pair in zip(parts, texts, strict=True) for event in pair]
        return [event for event in pairs if event and event.get("text") != ""]


def _text_event(part: int, offset: int, text: str) -> Event:
    return {"type": "text", "part": part, "offset": offset, "text": text}


def _joined(first: list[Event], then: list[Event]) -> list[Event]:
    """Two runs of events as one; text that touches becomes one event."""
    if first and then and first[-1]["type"] == then[0]["type"] == "text":
        joined = {**first[-1], "text": first[-1]["text"] + then[0]["text"]}
        return [*first[:-1], joined, *then[1:]]
    return [*first, *then]
