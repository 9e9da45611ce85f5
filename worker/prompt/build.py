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
from worker.prompt.errors import PromptError
from worker.prompt.lore import LoreSelector, PartLore, with_lore
from worker.prompt.lorebooks import LORE_SHARE, constant_lore, lorebooks_of
from worker.prompt.notes import drop_old_narrations, with_notes
from worker.prompt.persona import Cast, ConstantTexts, card_text, persona_texts
from worker.prompt.replies import max_tokens_of, reply_spec
from worker.prompt.segments import Limits, PromptFraming, example_segments, instruction_segment, name_of, segment_name
from worker.prompt.turn_kinds import PART_KINDS, PartInput, PartSpec
from worker.prompt.window import Window, WindowEntry, evict_to_fit, visible_entries, window_after

MIN_ROOM = 32  # tokens that must be left for one message, or the character is to blame and not the message


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """What the engine is asked for, and the window to store with the chat when the reply is saved.

    `lore` explains what lorebooks added, one line per entry.
    """

    wanted: tuple[Segment, ...]
    forgotten: frozenset[str]
    pinned: int
    reply: ReplySpec
    spec: PartSpec
    window: dict[str, Any]
    lore: tuple[dict[str, Any], ...] = ()


class PlannedTurn(Protocol):
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


def plan_part(
    story: Story, turn: PlannedTurn, kind: str, framing: PromptFraming, limits: Limits, ahead: bool = False
) -> TurnPlan:
    """The plan of one part of a turn; `story` has what the parts before it wrote.

    `ahead`: nobody has asked for a reply yet. Raises PromptError when the persona or a single message is too long for
    the context.
    """
    cast = _cast(story)
    spec = PART_KINDS[kind](PartInput(story, cast, turn.reply_message_id, str(turn.params.get("hint", ""))))
    reply = reply_spec(story, spec, cast, turn.id, framing, limits)
    lorebooks = lorebooks_of(story, cast)
    constant = constant_lore(lorebooks, framing, limits)
    pinned = _pinned(story, cast, framing, constant.texts)
    asked = (instruction_segment(spec.instruction, framing),) if spec.instruction and spec.keep_in_session else ()
    n_pinned = sum(len(segment.tokens) for segment in pinned)
    n_fixed = n_pinned + sum(len(segment.tokens) for segment in asked) + max_tokens_of(reply)
    examples = example_segments(story, cast, framing)
    before = Window.read(story.chat.window)
    readable = drop_old_narrations(spec.messages, limits.narrations)
    shown = with_notes(visible_entries(readable, before, framing, limits), story, spec, cast, framing, limits)
    teller = LoreSelector(lorebooks, story, spec, framing, limits, limits.context // LORE_SHARE - constant.n_tokens)
    entries = [*map(WindowEntry, examples[before.examples :]), *shown]
    kept, lore = _fitted(entries, (teller.tell(ahead), teller.silence()), n_fixed, limits)
    if kept is None:
        raise _too_long(cast, spec, limits, n_pinned, n_fixed, shown)
    wanted = (*pinned, *(entry.segment for entry in kept), *asked)
    after = before if limits.minimal else window_after(before, entries, kept, readable, len(examples))
    return TurnPlan(
        wanted=wanted,
        forgotten=_forgotten(examples, story, spec, {segment.name for segment in wanted}),
        pinned=len(pinned),
        reply=reply,
        spec=spec,
        window=after.stored() | ({"lore": lore.memory} if lore.memory else {}),
        lore=(*constant.why, *lore.why),
    )


def _fitted(
    entries: Sequence[WindowEntry], lores: Sequence[PartLore], n_fixed: int, limits: Limits
) -> tuple[list[WindowEntry] | None, PartLore]:
    """What stays in the window, with the first lore that leaves room for the last message."""
    fitted = ((evict_to_fit(with_lore(entries, lore), n_fixed, limits), lore) for lore in lores)
    return next((one for one in fitted if one[0] is not None), (None, PartLore()))


def _pinned(story: Story, cast: Cast, framing: PromptFraming, lore: ConstantTexts) -> tuple[Segment, ...]:
    """The persona: one system message in two segments, what all who know the character share, and what is one's own."""
    shared, own = persona_texts(story.character.card, cast, lore)
    head = Segment("persona", (*framing.reply_header("system", ""), *framing.inner_tokens(shared)))
    tail = (*framing.inner_tokens(own), *framing.footer("system"))
    return (head, Segment("setting", tail)) if tail else (head,)


def _cast(story: Story) -> Cast:
    nickname = card_text(story.character.card, "nickname")
    chat = story.chat
    return Cast(nickname or story.character.name, chat.user_name, chat.user_persona, chat.id, chat.created_at)


def _forgotten(examples: Sequence[Segment], story: Story, spec: PartSpec, kept: set[str]) -> frozenset[str]:
    """Every name that the engine may still hold and that is not wanted any more because it was evicted."""
    names = {segment.name for segment in examples}
    names |= {segment_name(message) for message in spec.messages}
    names |= {name_of(one.role, one.turn_id, one.id, one.position) for one in story.older}
    return frozenset(names - kept)


def _too_long(
    cast: Cast, spec: PartSpec, limits: Limits, n_persona: int, n_fixed: int, entries: Sequence[WindowEntry]
) -> PromptError:
    room = limits.context - n_fixed
    if room < MIN_ROOM or not spec.messages:
        fits = max(0, room + n_persona - MIN_ROOM)
        return PromptError("too_long.description", name=cast.char, tokens=n_persona, room=fits, context=limits.context)
    reason = "too_long.message" if spec.messages[-1].role == "user" else "too_long.last_message"
    name = segment_name(spec.messages[-1])
    n_tokens = next(entry.n_tokens for entry in reversed(entries) if entry.segment.name == name)
    return PromptError(reason, tokens=n_tokens, room=room, name=cast.char)
