"""Titles: while no turn runs here, the model is asked for the title of a story that has none (an idle-time task).

What it does: takes a story whose session is in cells, so that nothing is read but the question; the answer is taken
back and leaves no trace in the session. The first turn that begins cancels it.
What it refuses to know: which stories wait, and what a title may be (store/stories/titles.py).
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from redis.exceptions import RedisError

from engine.errors import EngineClosed, RequestError
from engine.events import Done, Text
from engine.sampling import SamplerSettings
from engine.segments import ReplySpec, TurnRequest
from store import chats, site_state
from store.broker import events
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
_MAX_TOKENS, _TEMPERATURES = 32, (0.5, 0.8, 1.1)  # of one try after the other
_BEGINNINGS = {"en": 'The title of this story is "', "zh": "这个故事的标题是《"}
"""What the answer has already: small models go on with a title here; asked for one, they tell a tale or repeat the
question."""
_ENDINGS = ('"', "”", "》", "\n")


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
        title = self._ask_for_title(story, plan)
        if title is None:
            return False
        is_given = titles.give_title(self._context.db, chat_id, story.chat.revision, title) and bool(title)
        if is_given:
            with contextlib.suppress(RedisError):  # the next page shows it
                events.publish_titled(self._context.redis, story.chat.owner_id, chat_id)
        return is_given

    def _plan(self, story: Story) -> PartPlan:
        """As for a suggestion, but the narrator speaks, who has begun to say the title."""
        framing = self._context.framing
        plan = plan_part(story, _Question(), "suggest", framing, self._context.limits())
        header, footer = framing.reply_header("narrator", NARRATOR), framing.footer("narrator")
        begun = framing.segment("narrator", NARRATOR, _BEGINNINGS[titles.language_of(titles.text_of(story))])
        reply = ReplySpec(
            name="suggest:title",
            header=header,
            footer=footer,
            prefix=begun[len(header) : len(begun) - len(footer)],
            sampling=SamplerSettings(ban_end=True),
            max_tokens=_MAX_TOKENS,
            stop=(*_ENDINGS, *framing.stop_strings((), NARRATOR)),
            keep=False,
        )
        return replace(plan, reply=reply)

    def _ask_for_title(self, story: Story, plan: PartPlan) -> str | None:
        """A title; empty where no try gave one, None when a turn came between."""
        names = story.character.name, story.chat.user_name
        for temperature in _TEMPERATURES:
            sampling = replace(plan.reply.sampling, temperature=temperature)
            answer = self._ask(story.chat.id, replace(plan, reply=replace(plan.reply, sampling=sampling)))
            if answer is None:
                return None
            if title := titles.title_of(answer, titles.text_of(story), names):
                return title
        return ""

    def _ask(self, chat_id: str, plan: PartPlan) -> str | None:
        """The answer, empty if it came to no end; None when a turn came between."""
        request = TurnRequest(chat_id, plan.wanted, plan.reply, plan.forgotten, plan.pinned)
        ticket = self._context.engine.submit(request)
        with self._lock:
            self._ticket = ticket
        try:
            if self._busy():  # a turn has begun before `make_way` could see this ticket
                ticket.cancel()
            seen = list(ticket.events(timeout_s=1.0))
        finally:
            with self._lock:
                self._ticket = None
        if not seen or not isinstance(seen[-1], Done):
            return None
        if seen[-1].finish == "length":
            return ""
        return "".join(event.text for event in seen if isinstance(event, Text))
