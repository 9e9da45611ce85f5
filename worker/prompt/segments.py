"""What of a story becomes a segment: one message, one example, a note, a status. Pure.

What it refuses to know: which of them are wanted, and what fits (build.py).
Segment names: `example:<n>`, `asked`, `status:<turn id>`, `<role>:<turn id>` for text that a turn wrote (the name is
needed before the message has an id), `<role>:<message id>.<position>` for everything else. They never repeat in a
session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.segments import Segment
from store.views import AlternativeView, MessageView, Story
from worker.prompt.persona import Cast, example_texts
from worker.prompt.turn_kinds import status_opening

INSTRUCTION = "asked"


class PromptFraming(Protocol):
    """What this file needs to know of a model's chat template."""

    def segment(self, role: str, name: str, text: str) -> tuple[int, ...]:
        """The tokens of one message, header and footer included."""

    def segment_from_tokens(self, role: str, name: str, tokens: Sequence[int]) -> tuple[int, ...]:
        """The same around tokens that the model wrote."""

    def reply_header(self, role: str, name: str) -> tuple[int, ...]:
        """What stands before a message that is to be written."""

    def inner_tokens(self, text: str) -> tuple[int, ...]:
        """Text that goes on inside a message."""

    def footer(self, role: str) -> tuple[int, ...]:
        """What closes it."""

    def stop_strings(self, names: Sequence[str]) -> tuple[str, ...]:
        """Texts at which a reply ends, so that it does not go on to speak for `names`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`context` and `max_reply` in tokens. `minimal` forgets all that can be forgotten down to half of the context.

    `narrations`: how many of the last narrations stay in the session.
    """

    context: int
    max_reply: int
    model_key: str
    minimal: bool = False
    narrations: int = 2

    @property
    def reply(self) -> int:
        """Tokens kept free for the reply: a quarter of the context at most, or small models could hold no story."""
        return max(1, min(self.max_reply, self.context // 4))


def message_segment(message: MessageView, framing: PromptFraming, limits: Limits) -> Segment:
    """The segment of one message: token-exact when this very model wrote it, from its text otherwise."""
    chosen = message.chosen
    role = "note" if message.role == "system" else message.role  # the one system message is the persona
    if chosen.tokens and chosen.model_key == limits.model_key:
        tokens = framing.segment_from_tokens(role, message.name, chosen.tokens)
    else:
        tokens = framing.segment(role, message.name, chosen.text)
    return Segment(segment_name(message), tokens)


def segment_name(message: MessageView) -> str:
    """The name of the segment of a message."""
    chosen: AlternativeView = message.chosen
    return name_of(message.role, chosen.turn_id, message.id, chosen.position)


def name_of(role: str, turn_id: str | None, message_id: str, position: int) -> str:
    """The same for a message whose text nobody needs: by the turn that wrote it, else by message and wording."""
    return f"{role}:{turn_id or f'{message_id}.{position}'}"


def instruction_segment(asked: str, framing: PromptFraming) -> Segment:
    """The note before a narration; a retry of it, or a narration that goes on, finds the same one."""
    return Segment(INSTRUCTION, framing.segment("note", "", asked), ephemeral=True)


def status_header(story: Story, cast: Cast, framing: PromptFraming) -> tuple[int, ...]:
    """What stands before the facts."""
    return (*framing.reply_header("note", ""), *framing.inner_tokens(status_opening(story, cast) + "\n"))


def status_segment(message: MessageView, story: Story, cast: Cast, framing: PromptFraming, limits: Limits) -> Segment:
    """The status that a message carries: token-exact when this very model wrote it."""
    status = message.chosen.status or {}
    tokens = tuple(status["tokens"])
    if status["model_key"] != limits.model_key:
        lines = [f"{fact['name']}: {fact['value']} {fact['unit']}".strip() for fact in status["fields"]]
        tokens = framing.inner_tokens("\n".join(lines))
    whole = (*status_header(story, cast, framing), *tokens, *framing.footer("note"))
    return Segment(f"status:{status['turn']}", whole, ephemeral=True)


def example_segments(story: Story, cast: Cast, framing: PromptFraming) -> list[Segment]:
    """The example dialogue of the card."""
    framed = (framing.segment("note", "", text) for text in example_texts(story.character.card, cast))
    return [Segment(f"example:{n}", tokens) for n, tokens in enumerate(framed)]
