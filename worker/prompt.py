"""From a story to what the engine is asked for: wanted segments, what was forgotten, how the reply is framed. Pure.

What it refuses to know: SQL, Redis, KV cells, how a template looks. It is given a story and a framing, and returns
values.
How: the persona first and for ever, then example dialogue, then one segment per message from the start of the window.
When the next turn might not fit, whole oldest segments are forgotten until 3/4 of the context are left (few big
evictions, not many small ones): examples first, then messages, never the persona, never the last message.
Old narrations, an old status and what a narrator was asked are ephemeral: they leave the middle of the session, and
nothing behind them is read again.
When extending: what a kind of turn reads and who speaks is in scripts.py, segments and their names in segments.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.segments import ReplySpec, Segment
from store.views import MessageView, Story, TurnView
from worker.persona import Cast, field, persona_texts
from worker.replies import n_tokens_at_most, reply_spec
from worker.scripts import SCRIPTS, Scene, Script, narration_asked
from worker.segments import (
    ASKED,
    Framing,
    Limits,
    asked_segment,
    example_segments,
    message_segment,
    segment_name,
    status_segment,
)

LEAST_ROOM = 32  # tokens that must be left for one message, or the character is to blame and not the message


class PromptError(ValueError):
    """A prompt that cannot be made to fit; the message is a sentence for the person who asked."""

    code = "too_long"


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """What the engine is asked for, and the window to store with the chat when the reply is saved."""

    wanted: tuple[Segment, ...]
    forgotten: frozenset[str]
    pinned: int
    reply: ReplySpec
    script: Script
    window: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Window:
    """Where the prompt starts: examples already forgotten, and the ordinal of the first message that is read."""

    examples: int = 0
    messages: int = 0

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> _Window:
        return cls(int(stored.get("examples", 0)), int(stored.get("messages", 0)))


def plan_part(story: Story, turn: TurnView, kind: str, framing: Framing, limits: Limits) -> TurnPlan:
    """The plan of one part of a turn; `story` has what the parts before it wrote.

    Raises PromptError when the persona or a single message is too long for the context.
    """
    cast = _cast(story)
    script = SCRIPTS[kind](Scene(story, cast, turn.reply_message_id, str(turn.params.get("hint", ""))))
    reply = reply_spec(story, script, cast, turn.id, framing, limits)
    pinned = _pinned(story, cast, framing)
    asked = (asked_segment(script.asked, framing),) if script.asked and script.keep else ()
    n_pinned = sum(len(segment.tokens) for segment in pinned)
    n_fixed = n_pinned + sum(len(segment.tokens) for segment in asked) + n_tokens_at_most(reply)
    examples = example_segments(story, cast, framing)
    before = _Window.read(story.chat.window)
    readable = _in_memory(script.messages, limits.narrations)
    shown = _with_notes(_shown(readable, before, framing, limits), story, script, cast, framing, limits)
    optional = [*examples[before.examples :], *(segment for _, segment in shown)]
    n_kept = sum(message is shown[-1][0] for message, _ in shown)
    n_forgotten = _n_forgotten([len(segment.tokens) for segment in optional], n_kept, n_fixed, limits)
    if n_forgotten is None:
        raise _too_long(cast, script, limits, n_pinned, n_fixed, optional)
    wanted = (*pinned, *optional[n_forgotten:], *asked)
    after = _moved(before, n_forgotten, len(examples), readable, shown)
    return TurnPlan(
        wanted=wanted,
        forgotten=_forgotten(examples, script.messages, {segment.name for segment in wanted}),
        pinned=len(pinned),
        reply=reply,
        script=script,
        window=_stored(before if limits.minimal else after),
    )


def _pinned(story: Story, cast: Cast, framing: Framing) -> tuple[Segment, ...]:
    """The persona: one system message in two segments, what all who know the character share, and what is one's own."""
    shared, own = persona_texts(story.character.card, cast)
    head = Segment("persona", (*framing.reply_header("system", ""), *framing.words(shared)))
    tail = (*framing.words(own), *framing.footer("system"))
    return (head, Segment("setting", tail)) if tail else (head,)


def _cast(story: Story) -> Cast:
    nickname = field(story.character.card, "nickname")
    return Cast(nickname or story.character.name, story.chat.user_name, story.chat.user_persona)


def _in_memory(messages: Sequence[MessageView], n_narrations: int) -> tuple[MessageView, ...]:
    """All but the old narrations: only the last few of those stay in the session."""
    narrations = [message.id for message in messages if message.role == "narrator"]
    old = set(narrations[: max(0, len(narrations) - n_narrations)])
    return tuple(message for message in messages if message.id not in old)


def _with_notes(
    shown: list[tuple[MessageView, Segment]], story: Story, script: Script, cast: Cast, framing: Framing, limits: Limits
) -> list[tuple[MessageView, Segment]]:
    """With the newest status behind its message, and what the narrator was asked before the last word, if it is theirs.

    A new status takes the place of the old one.
    """
    if shown and shown[-1][0].role == "narrator" and not (script.asked and script.keep):
        last = shown[-1][0]
        asked = narration_asked(story, cast, str(last.chosen.stats.get("hint", "")))
        shown = [*shown[:-1], (last, asked_segment(asked, framing)), shown[-1]]
    told = [n for n, (message, segment) in enumerate(shown) if message.chosen.status and segment.name != ASKED]
    if told and script.kind != "status":
        message = shown[told[-1]][0]
        shown.insert(told[-1] + 1, (message, status_segment(message, story, cast, framing, limits)))
    return shown


def _shown(
    messages: Sequence[MessageView], window: _Window, framing: Framing, limits: Limits
) -> list[tuple[MessageView, Segment]]:
    """The messages of the window with their segments, oldest first.

    Tokenizes from the newest backwards and stops one message after the context is full: what is older cannot stay.
    """
    shown: list[tuple[MessageView, Segment]] = []
    n_tokens = 0
    for message in reversed(messages):
        if shown and (message.ordinal < window.messages or n_tokens > limits.context):
            break
        shown.append((message, message_segment(message, framing, limits)))
        n_tokens += len(shown[-1][1].tokens)
    return shown[::-1]


def _n_forgotten(sizes: Sequence[int], n_kept: int, n_fixed: int, limits: Limits) -> int | None:
    """How many of the oldest optional segments must go; None when even the last `n_kept` alone do not fit."""
    total, n = n_fixed + sum(sizes), 0
    if total > limits.context or limits.minimal:
        goal = limits.context // 2 if limits.minimal else limits.context * 3 // 4
        while n < len(sizes) - n_kept and total > goal:
            total -= sizes[n]
            n += 1
    return n if total <= limits.context else None


def _moved(
    before: _Window,
    n_forgotten: int,
    n_examples: int,
    messages: Sequence[MessageView],
    shown: Sequence[tuple[MessageView, Segment]],
) -> _Window:
    """The window after the oldest `n_forgotten` of examples and messages have left it."""
    examples_left = max(0, n_examples - before.examples)
    n_messages = max(0, n_forgotten - examples_left)
    examples = before.examples + min(n_forgotten, examples_left)
    if n_messages == 0 and len(shown) == len(messages):
        return _Window(examples, before.messages)
    first = shown[min(n_messages, len(shown) - 1)][0].ordinal
    return _Window(examples, max(before.messages, first))


def _forgotten(examples: Sequence[Segment], messages: Sequence[MessageView], kept: set[str]) -> frozenset[str]:
    """Every name that the engine may still hold and that is not wanted any more because it was evicted."""
    return frozenset({*(segment.name for segment in examples), *(segment_name(message) for message in messages)} - kept)


def _stored(window: _Window) -> dict[str, int]:
    return {"examples": window.examples, "messages": window.messages}


def _too_long(
    cast: Cast, script: Script, limits: Limits, n_persona: int, n_fixed: int, optional: Sequence[Segment]
) -> PromptError:
    room = limits.context - n_fixed
    if room < LEAST_ROOM or not script.messages:
        return PromptError(
            f"The description of {cast.char} is {n_persona} tokens long, but only "
            f"{max(0, room + n_persona - LEAST_ROOM)} fit into the context of {limits.context}: shorten the "
            "description, or run the worker with a larger context (INGLENOOK_CONTEXT)."
        )
    whose = "Your message" if script.messages[-1].role == "user" else "The last message"
    return PromptError(
        f"{whose} is {len(optional[-1].tokens)} tokens long, but only {room} fit beside the description of "
        f"{cast.char} and a reply: send it in smaller parts."
    )
