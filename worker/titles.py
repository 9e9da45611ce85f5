"""Titles: while no turn runs here, the model is asked for the title of a story that has none (an idle-time task).

What it does: takes a story whose session is in cells, so that nothing is read but the question; the answer is taken
back and leaves no trace in the session. The first turn that begins cancels it.
What it refuses to know: which stories wait, and what a title may be (store/stories/titles.py).
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from redis.exceptions import RedisError

from engine.errors import EngineClosed, RequestError
from engine.sampling import SamplerSettings
from engine.segments import ReplySpec
from store import chats
from store.broker import events
from store.errors import StoreError
from store.stories import titles
from store.turns.kinds import NARRATOR
from store.views import Story
from worker.context import WorkerContext
from worker.idle_model import IdleModel
from worker.prompt.build import PartPlan, plan_part
from worker.prompt.errors import PromptError
from worker.recall import recalled_for

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
    """Asks for one title at a time. Called by a ticker."""

    def __init__(self, context: WorkerContext, model: IdleModel, clock: Callable[[], float] = time.time) -> None:
        self._context, self._model, self._clock = context, model, clock
        self._not_before: dict[str, float] = {}

    def tick(self) -> str | None:
        """Give a title to the story that was used last and has none; its id when it was given one."""
        if not self._model.is_free():
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
        framing, limits = self._context.framing, self._context.limits()
        recalled = recalled_for(self._context.db, story, limits)  # the last turn left it in the session
        plan = plan_part(story, _Question(), "suggest", framing, limits, recalled=recalled)
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
            answer = self._model.ask(story.chat.id, replace(plan, reply=replace(plan.reply, sampling=sampling)))
            if answer is None:
                return None
            if answer.finish == "length":  # it came to no end
                continue
            if title := titles.title_of(answer.text, titles.text_of(story), names):
                return title
        return ""
