"""Idle model: what the model does while no turn runs here, one question at a time; the first turn that begins cancels
it.

What it does: asks the engine, and hands out a whole answer or none.
What it refuses to know: what is asked (titles.py, remember.py).
"""

from __future__ import annotations

import threading

from engine.events import Done
from engine.segments import TurnRequest
from store import site_state
from worker.context import TurnTicket, WorkerContext
from worker.prompt.build import PartPlan


class IdleModel:
    """Asks one question at a time, of whichever ticker comes first. `make_way` may be called from any thread."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._asking, self._lock = threading.Lock(), threading.Lock()
        self._ticket: TurnTicket | None = None
        context.running.on_begin(self.make_way)

    @property
    def at_work(self) -> bool:
        """Whether the model is asked something now."""
        return self._ticket is not None

    def is_free(self) -> bool:
        """Whether nobody waits for this worker: no turn runs, the queue is not paused, nothing else is asked."""
        busy = self._context.draining.is_set() or bool(self._context.running.all())
        return not busy and not self.at_work and site_state.read(self._context.db).paused_since is None

    def make_way(self) -> None:
        """Cancel what is asked: a turn begins."""
        with self._lock:
            ticket = self._ticket
        if ticket is not None:
            ticket.cancel()

    def ask(self, chat_id: str, plan: PartPlan) -> Done | None:
        """The answer; None when a turn came between. Raises RequestError, EngineClosed."""
        if not self._asking.acquire(blocking=False):
            return None
        try:
            return self._ask(TurnRequest(chat_id, plan.wanted, plan.reply, plan.forgotten, plan.pinned))
        finally:
            self._asking.release()

    def _ask(self, request: TurnRequest) -> Done | None:
        ticket = self._context.engine.submit(request)
        with self._lock:
            self._ticket = ticket
        try:
            if self._context.draining.is_set() or self._context.running.all():
                ticket.cancel()  # a turn has begun before `make_way` could see this ticket
            seen = list(ticket.events(timeout_s=1.0))
        finally:
            with self._lock:
                self._ticket = None
        return seen[-1] if seen and isinstance(seen[-1], Done) else None
