"""A ticket: one submitted turn as its owner holds it (future, mailbox). Delivering never blocks the engine's thread.

What it refuses to know: how a turn is done, and what an owner does with an event.
To add a word that an owner can say: a flag like `cancelled` here, and the lane or scheduler that looks at it.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from engine.errors import EngineClosed
from engine.events import ENDS, Event, Waking
from engine.segments import TurnRequest

log = logging.getLogger(__name__)


class Outbox:
    """Events kept until just before the next decode, so that owners run while the engine's thread is in llama.cpp."""

    def __init__(self) -> None:
        self._events: deque[tuple[Ticket, Event]] = deque()

    def put(self, ticket: "Ticket", event: Event) -> None:
        """Keep an event."""
        self._events.append((ticket, event))

    def deliver(self) -> None:
        """Deliver all events, in order."""
        while self._events:
            ticket, event = self._events.popleft()
            ticket.deliver(event)


class Ticket:
    """Events of one turn. `alive` says whether the engine's loop still runs.

    `on_event` gets every event but the end, on the engine's thread: it must be quick and must not wait for anything.
    """

    def __init__(
        self,
        request: TurnRequest,
        alive: Callable[[], bool],
        outbox: Outbox,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self.request = request
        self.submitted_at = time.monotonic()
        self._alive, self._outbox, self._on_event = alive, outbox, on_event
        self._mailbox: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._woken = False

    @property
    def cancelled(self) -> bool:
        """Whether the owner asked for a stop."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop the turn at the next token; a Cancelled (or a Done that was faster) follows."""
        self._cancelled.set()

    def put(self, event: Event) -> None:
        """Have an event delivered before the engine decodes or waits next (the engine's side)."""
        self._outbox.put(self, event)

    def deliver(self, event: Event) -> None:
        """Deliver an event (the engine's side)."""
        if self._on_event is not None and not isinstance(event, ENDS):
            try:
                self._on_event(event)
                return
            except Exception:
                log.exception(
                    "an owner could not hear an event: it finds this one and those that follow in its mailbox"
                )
                self._on_event = None
        self._mailbox.put(event)

    def waking(self) -> None:
        """Announce once that the session is being woken (the engine's side)."""
        if not self._woken:
            self._woken = True
            self.put(Waking())

    def events(self, timeout_s: float = 1.0) -> Iterator[Event]:
        """Events until the turn has ended; with `on_event` only the end, and what `on_event` has failed on.

        Wakes at least every `timeout_s`, so that a caller's deadline can strike. Raises EngineClosed when the engine
        died without an event.
        """
        while True:
            try:
                event = self._mailbox.get(timeout=timeout_s)
            except queue.Empty:
                if not self._alive():
                    raise EngineClosed("the engine has stopped: restart the worker") from None
                continue
            yield event
            if isinstance(event, ENDS):
                return
