"""A ticket: one submitted turn as its owner holds it. A mailbox in, a cancel flag out; delivering never blocks."""

import queue
import threading
import time
from collections.abc import Callable, Iterator

from engine.errors import EngineClosed
from engine.events import ENDS, Event, Waking
from engine.segments import TurnRequest


class Ticket:
    """Events of one turn. `alive` says whether the engine's loop still runs."""

    def __init__(self, request: TurnRequest, alive: Callable[[], bool]) -> None:
        self.request = request
        self.submitted_at = time.monotonic()
        self._alive = alive
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
        """Deliver an event (the engine's side)."""
        self._mailbox.put(event)

    def waking(self) -> None:
        """Say once that the session is being woken (the engine's side)."""
        if not self._woken:
            self._woken = True
            self.put(Waking())

    def events(self, timeout_s: float = 1.0) -> Iterator[Event]:
        """Events until the turn has ended. Wakes at least every `timeout_s`, so that a caller's deadline can strike.

        Raises EngineClosed when the engine died without a word.
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
