"""The prompt builder: from a story to the plan of one part of a turn, as wanted segments and a `ReplySpec`. Pure.

How: the persona first and pinned, then what the window holds (window.py) with the notes between the messages
(notes.py), the lore (lore.py) and the notes on what has left it (memory.py), then the instruction to a narrator. What
each kind of part reads and who speaks next is in turn_kinds.py, segments and their names in segments.py, the request
for the reply in replies.py.
What it refuses to know: SQL, Redis, KV cells, chat templates. It is given a story and a framing, and returns values.
To add a note or another segment: notes.py has the list of places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.segments import ReplySpec, Segment
from store.views import Story
from worker.prompt.errors import PromptError
from worker.prompt.introduction import cast_of, introduced_cast, with_introduction
from worker.prompt.lore import LoreSelector, PartLore, with_lore
from worker.prompt.lorebooks import LORE_SHARE, constant_lore, lorebooks_of
from worker.prompt.memory import n_tokens, placed_notes, with_placed
from worker.prompt.notes import drop_old_narrations, with_notes
from worker.prompt.persona import Cast, ConstantTexts, persona_texts
from worker.prompt.recall import PREFIX as RECALL
from worker.prompt.recall import Recalled, told_recall
from worker.prompt.replies import max_tokens_of, reply_spec
from worker.prompt.segments import Limits, PromptFraming, example_segments, instruction_segment, name_of, segment_name
from worker.prompt.turn_kinds import PART_KINDS, PartInput, PartSpec
from worker.prompt.window import Window, WindowEntry, evict_to_fit, visible_entries, window_after

MIN_ROOM = 32  # tokens for one message: with less left, it is the description that is too long, not the message


@dataclass(frozen=True, slots=True)
class PartPlan:
    """The request of one part to the engine, and the window to store with the chat when the reply is saved.

    The first `pinned` of the wanted segments are never evicted. `forgotten` names the segments that are not wanted any
    more because they were evicted from the window. `lore` explains what lorebooks added, one line per entry; `recalled`
    is the receipt of what was recalled (recall.py).
    """

    wanted: tuple[Segment, ...]
    forgotten: frozenset[str]
    pinned: int
    reply: ReplySpec
    spec: PartSpec
    window: dict[str, Any]
    lore: tuple[dict[str, Any], ...] = ()
    recalled: tuple[dict[str, Any], ...] = ()


class PlannedTurn(Protocol):
    """What the builder needs of a turn (a `TurnView` has it)."""

    @property
    def id(self) -> str:
        """The name of the reply's segment is made from it."""

    @property
    def params(self) -> Mapping[str, Any]:
        """`hint`: what a narrator shall mention; `begins`: what a new alternative begins with."""

    @property
    def reply_message_id(self) -> str | None:
        """The message that the turn is about."""


def plan_part(
    story: Story,
    turn: PlannedTurn,
    kind: str,
    framing: PromptFraming,
    limits: Limits,
    ahead: bool = False,
    recalled: Recalled | None = None,
) -> PartPlan:
    """The plan of one part of a turn; `story` includes what the parts before it wrote.

    `ahead`: for a preload, no reply has been requested yet. `recalled`: what forgotten messages answer
    (worker/recall.py); None: nothing was asked, and what the window remembers of it stays. Raises PromptError when the
    persona or a single message is too long for the context.
    """
    cast = cast_of(story)
    hint, begins = (str(turn.params.get(name, "")) for name in ("hint", "begins"))
    spec = PART_KINDS[kind](PartInput(story, cast, turn.reply_message_id, hint, begins))
    reply = reply_spec(story, spec, cast, turn.id, framing, limits)
    return plan_spec(story, spec, reply, framing, limits, ahead, recalled)


def plan_spec(
    story: Story,
    spec: PartSpec,
    reply: ReplySpec,
    framing: PromptFraming,
    limits: Limits,
    ahead: bool = False,
    recalled: Recalled | None = None,
) -> PartPlan:
    """The plan of a part of which is known what it reads and how it is written."""
    cast, introduced = cast_of(story), introduced_cast(story)
    lorebooks = lorebooks_of(story, introduced)
    constant = constant_lore(lorebooks, framing, limits)
    pinned = _pinned(story, introduced, framing, constant.texts)
    instruction = _instruction(spec, framing)
    examples = example_segments(story, introduced, framing)
    before = Window.read(story.chat.window)
    messages = drop_old_narrations(spec.messages, limits.narrations)
    told = told_recall(recalled, story, framing, 0 if limits.minimal else limits.recall)
    visible = visible_entries(messages, before, framing, limits)
    notes = placed_notes(story, visible, framing, limits)
    n_pinned = sum(len(segment.tokens) for segment in pinned)
    n_fixed = n_pinned + sum(len(segment.tokens) for segment in instruction) + max_tokens_of(reply)
    visible = with_notes(visible, story, spec, cast, framing, limits, told.segment)
    visible = with_introduction(visible, story, framing)
    selector = LoreSelector(lorebooks, story, spec, framing, limits, limits.context // LORE_SHARE - constant.n_tokens)
    entries = [*map(WindowEntry, examples[before.examples :]), *visible]
    lores = selector.select(ahead), selector.none()
    kept, lore = _fit_with_lore(entries, lores, n_fixed + n_tokens(notes), limits)
    if kept is None and notes:
        kept, lore = _fit_with_lore(entries, lores, n_fixed, limits)
        notes = []
    if kept is None:
        raise _too_long(cast, spec, limits, n_pinned, n_fixed, visible)
    wanted = (*pinned, *with_placed(kept, notes), *instruction)
    names = frozenset(segment.name for segment in wanted)
    after = before if limits.minimal else window_after(before, entries, kept, messages, len(examples))
    return PartPlan(
        wanted=wanted,
        forgotten=_forgotten(examples, story, spec, names),
        pinned=len(pinned),
        reply=reply,
        spec=spec,
        window=after.stored() | _memory("lore", lore.memory) | _memory("recall", _recall_memory(recalled, story)),
        lore=(*constant.explanations, *lore.explanations),
        recalled=told.receipts(names),
    )


def _fit_with_lore(
    entries: Sequence[WindowEntry], lores: Sequence[PartLore], n_fixed: int, limits: Limits
) -> tuple[list[WindowEntry] | None, PartLore]:
    """The entries that stay in the window, with the first lore that leaves room for the last message; without what was
    recalled where even no lore does."""
    plain = [entry for entry in entries if not entry.segment.name.startswith(RECALL)]
    for some, lore in (*((entries, lore) for lore in lores), (plain, PartLore(memory=lores[-1].memory))):
        kept = evict_to_fit(with_lore(some, lore), n_fixed, limits)
        if kept is not None:
            return kept, lore
    return None, PartLore()


def _recall_memory(recalled: Recalled | None, story: Story) -> Mapping[str, Any]:
    """What the window keeps of a recall: that of this part, or of the turn before it where nothing was asked."""
    memory = story.chat.window.get("recall") if recalled is None else recalled.memory
    return memory or {}


def _memory(name: str, memory: Mapping[str, Any]) -> dict[str, Any]:
    return {name: memory} if memory else {}


def _instruction(spec: PartSpec, framing: PromptFraming) -> tuple[Segment, ...]:
    """The instruction as the last wanted segment; one that leaves no trace is part of the reply's header instead."""
    return (instruction_segment(spec.instruction, framing),) if spec.instruction and spec.keep_in_session else ()


def _pinned(story: Story, cast: Cast, framing: PromptFraming, lore: ConstantTexts) -> tuple[Segment, ...]:
    """The persona: one system message in two segments, the text that all chats with the character share, and the
    rest."""
    shared, own = persona_texts(story.character.card, cast, lore)
    head = Segment("persona", (*framing.reply_header("system", ""), *framing.inner_tokens(shared)))
    tail = (*framing.inner_tokens(own), *framing.footer("system"))
    return (head, Segment("setting", tail)) if tail else (head,)


def _forgotten(examples: Sequence[Segment], story: Story, spec: PartSpec, kept: frozenset[str]) -> frozenset[str]:
    """The name of every segment that the engine may still hold and that was evicted from the window."""
    names = {segment.name for segment in examples}
    names |= {segment_name(message) for message in spec.messages}
    names |= {name_of(older.role, older.turn_id, older.id, older.position) for older in story.older}
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
