"""From a story to what the engine is asked for: wanted segments, what was forgotten, how the reply is framed. Pure.

What it refuses to know: SQL, Redis, KV cells, how a template looks. It is given a story and a framing, and returns
values.
How: the persona first and for ever, then what the window holds (window.py) with the notes between the messages
(notes.py) and what lorebooks add (lore.py), then what is asked of a narrator. What each kind of turn reads and who
speaks next is in turn_kinds.py, segments and their names in segments.py, how the reply is asked for in replies.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.segments import ReplySpec, Segment
from store.views import Story
from worker.prompt.lore import Lore, Teller, with_lore
from worker.prompt.lorebooks import SHARE, always, library
from worker.prompt.notes import in_memory, with_notes
from worker.prompt.persona import Cast, Constants, field, persona_texts
from worker.prompt.replies import n_tokens_at_most, reply_spec
from worker.prompt.segments import Framing, Limits, asked_segment, example_segments, name_of, segment_name
from worker.prompt.turn_kinds import SCRIPTS, Scene, Script
from worker.prompt.window import Entry, Window, fit, moved, visible

LEAST_ROOM = 32  # tokens that must be left for one message, or the character is to blame and not the message


class PromptError(ValueError):
    """A prompt that cannot be made to fit; the message is a sentence for the person who asked."""

    code = "too_long"


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """What the engine is asked for, and the window to store with the chat when the reply is saved.

    `lore` explains what lorebooks added, one line per entry.
    """

    wanted: tuple[Segment, ...]
    forgotten: frozenset[str]
    pinned: int
    reply: ReplySpec
    script: Script
    window: dict[str, Any]
    lore: tuple[dict[str, Any], ...] = ()


class Asked(Protocol):
    """What a plan has to know of a turn (a TurnView has it)."""

    @property
    def id(self) -> str:
        """The reply is called after it."""

    @property
    def params(self) -> Mapping[str, Any]:
        """`hint`: what a narrator is to mention."""

    @property
    def reply_message_id(self) -> str | None:
        """The message that the turn is about."""


def plan_part(story: Story, turn: Asked, kind: str, framing: Framing, limits: Limits, ahead: bool = False) -> TurnPlan:
    """The plan of one part of a turn; `story` has what the parts before it wrote.

    `ahead`: nobody has asked for a reply yet. Raises PromptError when the persona or a single message is too long for
    the context.
    """
    cast = _cast(story)
    script = SCRIPTS[kind](Scene(story, cast, turn.reply_message_id, str(turn.params.get("hint", ""))))
    reply = reply_spec(story, script, cast, turn.id, framing, limits)
    shelf = library(story, cast)
    constant = always(shelf, framing, limits)
    pinned = _pinned(story, cast, framing, constant.texts)
    asked = (asked_segment(script.asked, framing),) if script.asked and script.keep else ()
    n_pinned = sum(len(segment.tokens) for segment in pinned)
    n_fixed = n_pinned + sum(len(segment.tokens) for segment in asked) + n_tokens_at_most(reply)
    examples = example_segments(story, cast, framing)
    before = Window.read(story.chat.window)
    readable = in_memory(script.messages, limits.narrations)
    shown = with_notes(visible(readable, before, framing, limits), story, script, cast, framing, limits)
    teller = Teller(shelf, story, script, framing, limits, limits.context // SHARE - constant.n_tokens)
    entries = [*map(Entry, examples[before.examples :]), *shown]
    kept, lore = _fitted(entries, (teller.tell(ahead), teller.silence()), n_fixed, limits)
    if kept is None:
        raise _too_long(cast, script, limits, n_pinned, n_fixed, shown)
    wanted = (*pinned, *(entry.segment for entry in kept), *asked)
    after = before if limits.minimal else moved(before, entries, kept, readable, len(examples))
    return TurnPlan(
        wanted=wanted,
        forgotten=_forgotten(examples, story, script, {segment.name for segment in wanted}),
        pinned=len(pinned),
        reply=reply,
        script=script,
        window=after.stored() | ({"lore": lore.memory} if lore.memory else {}),
        lore=(*constant.why, *lore.why),
    )


def _fitted(
    entries: Sequence[Entry], lores: Sequence[Lore], n_fixed: int, limits: Limits
) -> tuple[list[Entry] | None, Lore]:
    """What stays in the window, with the first lore that leaves room for the last message."""
    fitted = ((fit(with_lore(entries, lore), n_fixed, limits), lore) for lore in lores)
    return next((one for one in fitted if one[0] is not None), (None, Lore()))


def _pinned(story: Story, cast: Cast, framing: Framing, lore: Constants) -> tuple[Segment, ...]:
    """The persona: one system message in two segments, what all who know the character share, and what is one's own."""
    shared, own = persona_texts(story.character.card, cast, lore)
    head = Segment("persona", (*framing.reply_header("system", ""), *framing.words(shared)))
    tail = (*framing.words(own), *framing.footer("system"))
    return (head, Segment("setting", tail)) if tail else (head,)


def _cast(story: Story) -> Cast:
    nickname = field(story.character.card, "nickname")
    chat = story.chat
    return Cast(nickname or story.character.name, chat.user_name, chat.user_persona, chat.id, chat.created_at)


def _forgotten(examples: Sequence[Segment], story: Story, script: Script, kept: set[str]) -> frozenset[str]:
    """Every name that the engine may still hold and that is not wanted any more because it was evicted."""
    names = {segment.name for segment in examples}
    names |= {segment_name(message) for message in script.messages}
    names |= {name_of(one.role, one.turn_id, one.id, one.position) for one in story.older}
    return frozenset(names - kept)


def _too_long(
    cast: Cast, script: Script, limits: Limits, n_persona: int, n_fixed: int, entries: Sequence[Entry]
) -> PromptError:
    room = limits.context - n_fixed
    if room < LEAST_ROOM or not script.messages:
        return PromptError(
            f"The description of {cast.char} is {n_persona} tokens long, but only "
            f"{max(0, room + n_persona - LEAST_ROOM)} fit into the context of {limits.context}: shorten the "
            "description, or run the worker with a larger context (INGLENOOK_CONTEXT)."
        )
    whose = "Your message" if script.messages[-1].role == "user" else "The last message"
    name = segment_name(script.messages[-1])
    n_tokens = next(entry.n_tokens for entry in reversed(entries) if entry.segment.name == name)
    return PromptError(
        f"{whose} is {n_tokens} tokens long, but only {room} fit beside the description of "
        f"{cast.char} and a reply: send it in smaller parts."
    )
