"""Warm-up: preloads a chat that was just opened, so that its prompt is in the cells before the person has typed.

What it does: while no turn runs here and the queue is not paused, takes the chat that was opened last and lets the
engine read what its next turn would read, without a reply. From blocks that takes a moment; a chat that was imported or
has a new persona is read as text, the newest part that fits. The first turn that begins cancels it; what was read
stays.
What it refuses to know: who opened the chat (store/broker/warmup.py). In SQL it changes nothing but the window.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import EngineClosed, RequestError
from engine.events import Done
from engine.segments import TurnRequest
from store import chats, site_state, turns
from store.broker import events, warmup
from store.errors import StoreError
from store.views import Story
from worker.context import TurnTicket, WorkerContext
from worker.prompt.build import PartPlan, plan_part
from worker.prompt.errors import PromptError

log = logging.getLogger(__name__)

WARM_EVERY_S = 0.25


@dataclass(frozen=True)
class _NextTurn:
    """Stands for the next turn, of which nothing is known yet."""

    id: str = "next"
    params: Mapping[str, Any] = field(default_factory=dict)
    reply_message_id: str | None = None


class ChatWarmer:
    """Preloads one chat at a time. Called by a ticker; `make_way` may be called from any thread."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._ticket: TurnTicket | None = None
        context.running.on_begin(self.make_way)

    @property
    def at_work(self) -> bool:
        """Whether the engine is preloading a chat now."""
        return self._ticket is not None

    def tick(self) -> str | None:
        """Preload the chat that was opened last, if no turn runs; its id when it was preloaded to the end."""
        if self._busy():
            return None
        chat_id = warmup.take(self._context.redis, self._context.worker_name)
        if chat_id is None or chat_id in self._context.engine.resident():
            return None
        try:
            return chat_id if self._preload(chat_id) else None
        except (StoreError, PromptError, RequestError, EngineClosed) as error:
            log.info("chat %s is not preloaded: %s", chat_id, error)  # its next turn will say what is wrong
            return None

    def make_way(self) -> None:
        """Cancel the preload: a turn begins."""
        with self._lock:
            ticket = self._ticket
        if ticket is not None:
            ticket.cancel()

    def _busy(self) -> bool:
        return self._context.draining.is_set() or bool(self._context.running.all())

    def _preload(self, chat_id: str) -> bool:
        context = self._context
        story = chats.load_story(context.db, chat_id)
        if turns.unfinished(context.db, chat_id=chat_id) or site_state.read(context.db).paused_since is not None:
            return False
        plan = self._plan(story)
        ticket = context.engine.submit(
            TurnRequest(session=chat_id, wanted=plan.wanted, forgotten=plan.forgotten, pinned=plan.pinned)
        )
        with self._lock:
            self._ticket = ticket
        if self._busy():  # a turn has begun before `make_way` could see this ticket
            ticket.cancel()
        seen = list(ticket.events(timeout_s=1.0))
        with self._lock:
            self._ticket = None
        if not seen or not isinstance(seen[-1], Done):
            return False
        if warmup.keep_window(context.db, chat_id, story.chat.revision, plan.window):
            events.publish_unnumbered(context.redis, chat_id, {"type": "memory", "chat": chat_id})
        return True

    def _plan(self, story: Story) -> PartPlan:
        """The plan of the next turn, as if the character replied now."""
        # without the chat's notes: they move behind the person's next message
        plain = replace(story, chat=replace(story.chat, author_note="", reference="", settings={}))
        return plan_part(plain, _NextTurn(), "chat", self._context.framing, self._context.limits(), ahead=True)
