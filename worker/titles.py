"""Titles: while no turn runs here, the model is asked for the title of a story that has none (an idle-time task).

What it does: takes a story whose session is in cells, so that nothing is read but the question; the answer is taken
back and leaves no trace in the session. The first turn that begins cancels it.
What it refuses to know: which stories wait, and what a title may be (store/stories/titles.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import EngineClosed, RequestError
from engine.events import Done, Text
from engine.sampling import SamplerSettings
from engine.segments import ReplySpec, TurnRequest
from store import chats, site_state
from store.errors import StoreError
from store.stories import titles
from store.turns.kinds import NARRATOR
from store.views import Story
from worker.context import TurnTicket, WorkerContext
from worker.prompt.build import PartPlan, plan_part
from worker.prompt.errors import PromptError

log = logging.getLogger(__name__)

TITLE_EVERY_S = 2.0
AGAIN_AFTER_S = 600.0  # a story that could not be asked about lets the others have their turn
_MAX_TOKENS, _TEMPERATURE = 24, 0.5
_INSTRUCTIONS = {
    "en": "Write a title for this story: two to six words, no quotation marks, nothing else.",
    "zh": "给这个故事起一个标题:四到十二个字,不要引号,只写标题。",
}


@dataclass(frozen=True)
class _Question:
    """Stands for a turn."""

    id: str = "title"
    params: Mapping[str, Any] = field(default_factory=dict)
    reply_message_id: str | None = None


class TitleWriter:
    """Asks for one title at a time. Called by a ticker; `make_way` may be called from any thread."""

    def __init__(self, context: WorkerContext, clock: Callable[[], float] = time.time) -> None:
        self._context, self._clock = context, clock
        self._lock = threading.Lock()
        self._ticket: TurnTicket | None = None
        self._not_before: dict[str, float] = {}
        context.running.on_begin(self.make_way)

    @property
    def at_work(self) -> bool:
        """Whether the model is asked for a title now."""
        return self._ticket is not None

    def tick(self) -> str | None:
        """Give a title to the story that was used last and has none; its id when it was given one."""
        if self._busy() or site_state.read(self._context.db).paused_since is not None:
            return None
        now = self._clock()
        self._not_before = {chat: then for chat, then in self._not_before.items() if then > now}
        chat_id = titles.next_untitled(self._context.db, self._context.engine.resident() - self._not_before.keys(), now)
        if chat_id is None:
            return None
        try:
            return chat_id if self._give(chat_id) else None
        except (StoreError, PromptError, RequestError, EngineClosed) as error:
            log.info("chat %s gets no title: %s", chat_id, error)
            self._not_before[chat_id] = now + AGAIN_AFTER_S
            return None

    def make_way(self) -> None:
        """Cancel it: a turn begins."""
        with self._lock:
            ticket = self._ticket
        if ticket is not None:
            ticket.cancel()

    def _busy(self) -> bool:
        return self._context.draining.is_set() or bool(self._context.running.all())

    def _give(self, chat_id: str) -> bool:
        story = chats.load_story(self._context.db, chat_id)
        plan = self._plan(story)
        window = story.chat.window
        if any(plan.window.get(name, 0) != window.get(name, 0) for name in ("examples", "messages")):
            self._not_before[chat_id] = self._clock() + AGAIN_AFTER_S
            return False  # there is no room for the question without forgetting something
        answer = self._ask(chat_id, plan)
        if answer is None:
            return False
        title = titles.title_of(answer, (story.character.name, story.chat.user_name))
        return titles.give_title(self._context.db, chat_id, story.chat.revision, title) and bool(title)

    def _plan(self, story: Story) -> PartPlan:
        """As for a suggestion, but another question, and another voice answers it."""
        framing = self._context.framing
        language = "zh" if story.character.locale.startswith("zh") else "en"
        plan = plan_part(story, _Question(), "suggest", framing, self._context.limits())
        question = framing.segment("note", "", _INSTRUCTIONS[language])
        reply = ReplySpec(
            name="suggest:title",
            header=(*question, *framing.reply_header("narrator", NARRATOR)),
            footer=framing.footer("narrator"),
            sampling=SamplerSettings(temperature=_TEMPERATURE),
            max_tokens=_MAX_TOKENS,
            stop=("\n", *framing.stop_strings((), NARRATOR)),
            keep=False,
        )
        return replace(plan, reply=reply)

    def _ask(self, chat_id: str, plan: PartPlan) -> str | None:
        """The answer; None when a turn came between."""
        request = TurnRequest(chat_id, plan.wanted, plan.reply, plan.forgotten, plan.pinned)
        ticket = self._context.engine.submit(request)
        with self._lock:
            self._ticket = ticket
        if self._busy():  # a turn has begun before `make_way` could see this ticket
            ticket.cancel()
        seen = list(ticket.events(timeout_s=1.0))
        with self._lock:
            self._ticket = None
        if not seen or not isinstance(seen[-1], Done):
            return None
        return "".join(event.text for event in seen if isinstance(event, Text))
