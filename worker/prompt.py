"""From a story to what the engine is asked for: wanted segments, what was forgotten, how the reply is framed. Pure.

What it refuses to know: SQL, Redis, KV cells, how a template looks. It is given a story and a framing, and returns
values.
How: the persona first and for ever, then example dialogue, then one segment per message from the start of the window.
When the next turn might not fit, whole oldest segments are forgotten until 3/4 of the context are left (few big
evictions, not many small ones): examples first, then messages, never the persona, never the last message.
Segment names: `persona`, `setting`, `example:<n>`, `<role>:<turn id>` for text that a turn wrote (the name is needed
before the message has an id), `<role>:<message id>.<position>` for everything else. Names never repeat in a session.
When extending: a new kind of turn is one more entry in `SCRIPTS` (which messages it reads, who speaks next).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.sampling import settings_from
from engine.segments import ReplySpec, Segment
from store.views import AlternativeView, MessageView, Story, TurnView
from worker.persona import Cast, example_texts, field, persona_texts

LEAST_ROOM = 32  # tokens that must be left for one message, or the character is to blame and not the message


class PromptError(ValueError):
    """A prompt that cannot be made to fit; the message is a sentence for the person who asked."""

    code = "too_long"


class Framing(Protocol):
    """What this file needs to know of a model's chat template."""

    def segment(self, role: str, name: str, text: str) -> tuple[int, ...]:
        """The tokens of one message, header and footer included."""

    def segment_from_tokens(self, role: str, name: str, tokens: Sequence[int]) -> tuple[int, ...]:
        """The same around tokens that the model wrote."""

    def reply_header(self, role: str, name: str) -> tuple[int, ...]:
        """What stands before a message that is to be written."""

    def words(self, text: str) -> tuple[int, ...]:
        """Text that goes on inside a message."""

    def footer(self, role: str) -> tuple[int, ...]:
        """What closes it."""

    def stop_strings(self, names: Sequence[str]) -> tuple[str, ...]:
        """Texts at which a reply ends, so that it does not go on to speak for `names`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`context` and `max_reply` in tokens. `minimal` forgets all that can be forgotten down to half of the context."""

    context: int
    max_reply: int
    model_key: str
    minimal: bool = False

    @property
    def reply(self) -> int:
        """Tokens kept free for the reply: a quarter of the context at most, or small models could hold no story."""
        return max(1, min(self.max_reply, self.context // 4))


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """What the engine is asked for, and the window to store with the chat when the reply is saved."""

    wanted: tuple[Segment, ...]
    forgotten: frozenset[str]
    pinned: int
    reply: ReplySpec
    reply_role: str
    reply_name: str
    window: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Script:
    """What a kind of turn reads, and who speaks next."""

    messages: tuple[MessageView, ...]
    role: str
    name: str


@dataclass(frozen=True, slots=True)
class _Window:
    """Where the prompt starts: examples already forgotten, and the ordinal of the first message that is read."""

    examples: int = 0
    messages: int = 0

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> _Window:
        return cls(int(stored.get("examples", 0)), int(stored.get("messages", 0)))


def plan_turn(story: Story, turn: TurnView, framing: Framing, limits: Limits) -> TurnPlan:
    """The plan of one turn. Raises PromptError when the persona or a single message is too long for the context."""
    cast = _cast(story)
    script = SCRIPTS[turn.kind](story, turn, cast)
    reply = _reply(story, script, cast, turn.id, framing, limits)
    pinned = _pinned(story, cast, framing)
    n_pinned = sum(len(segment.tokens) for segment in pinned)
    n_fixed = n_pinned + len(reply.header) + len(reply.footer) + reply.max_tokens
    examples = _examples(story, cast, framing)
    before = _Window.read(story.chat.window)
    shown = _shown(script.messages, before, framing, limits)
    optional = [*examples[before.examples :], *(segment for _, segment in shown)]
    n_forgotten = _n_forgotten([len(segment.tokens) for segment in optional], bool(shown), n_fixed, limits)
    if n_forgotten is None:
        raise _too_long(cast, script, limits, n_pinned, n_fixed, optional)
    wanted = (*pinned, *optional[n_forgotten:])
    after = _moved(before, n_forgotten, len(examples), script.messages, shown)
    return TurnPlan(
        wanted=wanted,
        forgotten=_forgotten(examples, script.messages, {segment.name for segment in wanted}),
        pinned=len(pinned),
        reply=reply,
        reply_role=script.role,
        reply_name=script.name,
        window=_stored(before if limits.minimal else after),
    )


def message_segment(message: MessageView, framing: Framing, limits: Limits) -> Segment:
    """The segment of one message: token-exact when this very model wrote it, from its text otherwise."""
    chosen = message.chosen
    role = "note" if message.role == "system" else message.role  # the one system message is the persona
    if chosen.tokens and chosen.model_key == limits.model_key:
        tokens = framing.segment_from_tokens(role, message.name, chosen.tokens)
    else:
        tokens = framing.segment(role, message.name, chosen.text)
    return Segment(_name(message), tokens)


def _pinned(story: Story, cast: Cast, framing: Framing) -> tuple[Segment, ...]:
    """The persona: one system message in two segments, what all who know the character share, and what is one's own."""
    shared, own = persona_texts(story.character.card, cast)
    head = Segment("persona", (*framing.reply_header("system", ""), *framing.words(shared)))
    tail = (*framing.words(own), *framing.footer("system"))
    return (head, Segment("setting", tail)) if tail else (head,)


def _name(message: MessageView) -> str:
    chosen: AlternativeView = message.chosen
    return f"{message.role}:{chosen.turn_id or f'{message.id}.{chosen.position}'}"


def _cast(story: Story) -> Cast:
    nickname = field(story.character.card, "nickname")
    return Cast(nickname or story.character.name, story.chat.user_name, story.chat.user_persona)


def _chat(story: Story, _turn: TurnView, cast: Cast) -> _Script:
    return _Script(story.messages, "character", cast.char)


def _retry(story: Story, turn: TurnView, cast: Cast) -> _Script:
    """Everything before the reply that is written again; everything when that reply never came."""
    again = next((m.ordinal for m in story.messages if m.id == turn.reply_message_id), None)
    messages = tuple(m for m in story.messages if again is None or m.ordinal < again)
    return _Script(messages, "character", cast.char)


SCRIPTS: dict[str, Callable[[Story, TurnView, Cast], _Script]] = {"chat": _chat, "retry": _retry}


def _reply(story: Story, script: _Script, cast: Cast, turn_id: str, framing: Framing, limits: Limits) -> ReplySpec:
    return ReplySpec(
        name=f"{script.role}:{turn_id}",
        header=framing.reply_header(script.role, script.name),
        footer=framing.footer(script.role),
        sampling=settings_from(story.chat.settings),
        max_tokens=limits.reply,
        stop=framing.stop_strings((cast.user,)),
    )


def _examples(story: Story, cast: Cast, framing: Framing) -> list[Segment]:
    framed = (framing.segment("note", "", text) for text in example_texts(story.character.card, cast))
    return [Segment(f"example:{n}", tokens) for n, tokens in enumerate(framed)]


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
    return frozenset({*(segment.name for segment in examples), *(_name(message) for message in messages)} - kept)


def _stored(window: _Window) -> dict[str, int]:
    return {"examples": window.examples, "messages": window.messages}


def _too_long(
    cast: Cast, script: _Script, limits: Limits, n_persona: int, n_fixed: int, optional: Sequence[Segment]
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
