"""Remembering: while no turn runs here, the model writes notes on what is about to leave the context window (an
idle-time task).

What it does: takes a story that is in cells and nearly fills its context, has the narrator sum up the oldest scene
where it still stands, keeps the note in the session, and moves the window behind the scene; the next turn drops it.
Notes whose messages have changed are written again; many notes become one. The first turn that begins cancels it, and
then forgetting goes on as if there were no notes.
What it refuses to know: where notes stand in a prompt (prompt/memory.py), what may become a note
(store/memory/note_text.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from redis.exceptions import RedisError

from engine.errors import EngineClosed, RequestError
from engine.sampling import SamplerSettings
from engine.segments import ReplySpec, Segment
from store import chats
from store.broker import events
from store.errors import StoreError
from store.memory import recording
from store.memory.note_text import note_of
from store.memory.recording import NewNote
from store.messages import new_id
from store.stories.titles import language_of
from store.views import MessageView, Story, StoryNote
from worker.context import WorkerContext
from worker.idle_model import IdleModel
from worker.prompt import memory
from worker.prompt.build import PartPlan, plan_spec
from worker.prompt.errors import PromptError
from worker.prompt.introduction import cast_of, introduced_cast
from worker.prompt.replies import max_tokens_of
from worker.prompt.segments import Limits, example_segments, message_segment
from worker.prompt.turn_kinds import PartSpec
from worker.recall import recalled_for

log = logging.getLogger(__name__)

NOTE_EVERY_S = 1.0
AGAIN_AFTER_S = 120.0  # a story without a usable note lets the others have theirs
MAX_TOKENS = 220
_TEMPERATURES = 0.3, 0.7  # of one try after the other
_SCENE_SHARE = 4  # a scene takes one part of so many of the context
_SOON = 8  # a window is nearly full when one part of so many is left beside what a note needs
_LETTERS_AGAIN = 6_000  # of the messages of a stale note, at most


@dataclass(frozen=True)
class _Task:
    """One note to be written: the question, in the language of what was `told`, and what becomes of the answer."""

    language: str
    asked: str
    told: str
    first: int
    last: int
    window: dict[str, Any]
    covers: tuple[str, ...] = ()
    replaces: StoryNote | None = None


class NoteWriter:
    """Writes one note at a time. Called by a ticker."""

    def __init__(
        self,
        context: WorkerContext,
        model: IdleModel,
        clock: Callable[[], float] = time.time,
        note_of: Callable[[str, str, str, Collection[str]], str] = note_of,
    ) -> None:
        self._context, self._model, self._clock, self._note_of = context, model, clock, note_of
        self._seen: dict[str, int] = {}  # revisions at which a chat had nothing to be written
        self._not_before: dict[str, float] = {}

    def tick(self) -> str | None:
        """Write the next note that is due; the id of its chat when one was written."""
        if not self._model.is_free():
            return None
        now = self._clock()
        resident = self._context.engine.resident()
        self._seen = {chat: revision for chat, revision in self._seen.items() if chat in resident}
        self._not_before = {chat: then for chat, then in self._not_before.items() if then > now}
        for chat_id, revision in self._quiet(resident - self._not_before.keys(), now):
            if self._seen.get(chat_id) == revision:
                continue
            try:
                return chat_id if self._write(chat_id) else None
            except (StoreError, PromptError, RequestError, EngineClosed) as error:
                log.info("chat %s gets no note: %s", chat_id, error)
                self._not_before[chat_id] = now + AGAIN_AFTER_S
                return None
        return None

    def _quiet(self, chat_ids: Collection[str], now: float) -> list[tuple[str, int]]:
        return recording.quiet_chats(self._context.db, chat_ids, self._context.worker_name, now)

    def _write(self, chat_id: str) -> bool:
        story = chats.load_story(self._context.db, chat_id)
        plan = self._plan(story)
        task = self._task(story, self._room(story, plan))
        if task is None:
            self._seen[chat_id] = story.chat.revision
            return False
        note_id = task.replaces.id if task.replaces else new_id()
        version = task.replaces.version + 1 if task.replaces else 1
        for temperature in _TEMPERATURES:
            reply = self._reply(story, memory.segment_name(note_id, version), task.language, temperature)
            answer = self._model.ask(chat_id, self._asking(plan, task, reply))
            if answer is None:
                return False
            text = self._note_of(memory.beginning(task.language, cast_of(story)), answer.text, task.told, (task.asked,))
            if text and self._keep(story, task, note_id, text, answer.tokens):
                return True
        self._not_before[chat_id] = self._clock() + AGAIN_AFTER_S
        return False

    def _asking(self, plan: PartPlan, task: _Task, reply: ReplySpec) -> PartPlan:
        """What is in the session, the question, and the note that is to be written."""
        return replace(plan, wanted=(*plan.wanted, self._question(task.asked)), reply=reply)

    def _keep(self, story: Story, task: _Task, note_id: str, text: str, tokens: tuple[int, ...]) -> bool:
        new = NewNote(
            text=text,
            tokens=tokens,
            model_key=self._context.engine.model_key,
            first_ordinal=task.first,
            last_ordinal=task.last,
            written_after=story.messages[-1].ordinal,
            id=note_id,
            covers=task.covers,
            replaces=task.replaces.id if task.replaces else "",
        )
        kept = recording.record_note(self._context.db, story.chat.id, story.chat.revision, task.window, new)
        if kept is not None:
            try:
                event = {"type": "memory", "chat": story.chat.id, "notes": True}
                events.publish_unnumbered(self._context.redis, story.chat.id, event)
            except RedisError as error:
                log.info("tabs of chat %s hear of its note later: %s", story.chat.id, error)
        return kept is not None

    # -- what is to be written -----------------------------------------------------------------------------------------

    def _task(self, story: Story, room: int) -> _Task | None:
        """The note that is due: one that is stale, one on notes that take too much, one on the oldest scene."""
        if len(story.messages) < memory.KEPT + 2 or room <= 0:
            return None
        tasks = (make(story, room) for make in (self._stale, self._of_notes, self._of_scene))
        return next((task for task in tasks if task and self._needed(story, task) <= room), None)

    def _stale(self, story: Story, room: int) -> _Task | None:
        """The first stale note, from as much of its messages as there is room for."""
        stale = next((note for note in story.notes if note.is_stale and not note.is_by_hand), None)
        letters = _LETTERS_AGAIN if stale else 0
        while stale and letters >= _LETTERS_AGAIN // 16:
            told = recording.told_in(self._context.db, story.chat.id, stale.first_ordinal, stale.last_ordinal, letters)
            language, first, last = language_of(told), stale.first_ordinal, stale.last_ordinal
            asked = memory.again_question(language, told)
            task = _Task(language, asked, told, first, last, story.chat.window, replaces=stale)
            if not told.strip() or self._needed(story, task) <= room:
                return task if told.strip() else None
            letters //= 2
        return None

    def _of_notes(self, story: Story, _room: int) -> _Task | None:
        """The older half of the notes, where all of them take more than their share."""
        limits, framing = self._context.limits(), self._context.framing
        sizes = [len(memory.note_segment(note, framing, limits).tokens) for note in story.notes]
        old = [note for note in story.notes if not note.pinned and not note.is_by_hand]
        old = old[: max(2, len(old) // 2)]
        if sum(sizes) + self._longest() <= limits.context // memory.SHARE or len(old) < 2:
            return None
        told = "\n".join(note.text for note in old)
        language = language_of(told)
        covers = tuple(note.id for note in old)
        first, last = min(note.first_ordinal for note in old), max(note.last_ordinal for note in old)
        return _Task(language, memory.notes_question(language, old), told, first, last, story.chat.window, covers)

    def _of_scene(self, story: Story, room: int) -> _Task | None:
        """The oldest messages of a window that is nearly full."""
        limits = self._context.limits()
        inside = [message for message in story.messages if message.ordinal >= int(story.chat.window.get("messages", 0))]
        scene = memory.scene_to_note(inside, self._n_of_scene(inside, limits))
        if not scene:
            return None
        n_examples = len(example_segments(story, introduced_cast(story), self._context.framing))
        window = {**story.chat.window, "examples": n_examples, "messages": scene[-1].ordinal + 1}
        told = "\n".join(f"{message.name}: {message.text}" for message in scene)
        language = language_of(told)
        asked = memory.scene_question(language, scene)
        task = _Task(language, asked, told, scene[0].ordinal, scene[-1].ordinal, window)
        soon = limits.reply() + limits.context // _SOON
        return task if room < self._needed(story, task) + soon else None  # there is time yet

    def _n_of_scene(self, messages: Sequence[MessageView], limits: Limits) -> int:
        """How many of the oldest messages make up a scene: a part of the context."""
        left = limits.context // _SCENE_SHARE
        for number, message in enumerate(messages):
            left -= len(message_segment(message, self._context.framing, limits).tokens)
            if left <= 0:
                return number + 1
        return 0

    # -- tokens --------------------------------------------------------------------------------------------------------

    def _longest(self) -> int:
        """Tokens of a note at most."""
        return min(MAX_TOKENS, self._context.context_tokens // 8)

    def _needed(self, story: Story, task: _Task) -> int:
        """Tokens that a question and its note need."""
        return len(self._question(task.asked).tokens) + max_tokens_of(self._reply(story, "", task.language))

    def _room(self, story: Story, plan: PartPlan) -> int:
        """How many tokens of the context are free; none where something would be forgotten already."""
        if any(plan.window.get(name, 0) != story.chat.window.get(name, 0) for name in ("examples", "messages")):
            return 0
        return self._context.context_tokens - sum(len(segment.tokens) for segment in plan.wanted)

    def _question(self, asked: str) -> Segment:
        return Segment(memory.QUESTION, self._context.framing.segment("note", "", asked), ephemeral=True)

    def _plan(self, story: Story) -> PartPlan:
        """What is in the session now. Raises PromptError."""
        spec = PartSpec("narrate", story.messages, memory.ROLE, memory.NAME)
        reply = replace(self._reply(story, memory.QUESTION, "en"), max_tokens=1)
        limits = self._context.limits()
        recalled = recalled_for(self._context.db, story, limits)  # the last turn left it in the session
        return plan_spec(story, spec, reply, self._context.framing, limits, ahead=True, recalled=recalled)

    def _reply(self, story: Story, name: str, language: str, temperature: float = _TEMPERATURES[0]) -> ReplySpec:
        """The narrator speaks, who has begun the note."""
        framing, cast = self._context.framing, cast_of(story)
        header, footer = framing.reply_header(memory.ROLE, memory.NAME), framing.footer(memory.ROLE)
        begun = framing.segment(memory.ROLE, memory.NAME, memory.beginning(language, cast))
        return ReplySpec(
            name=name,
            header=header,
            footer=footer,
            prefix=begun[len(header) : len(begun) - len(footer)],
            sampling=SamplerSettings(temperature=temperature, ban_end=True),
            max_tokens=self._longest(),
            stop=("\n", *framing.stop_strings(sorted({cast.char, cast.user}), memory.NAME)),
        )
