"""Segments of a story: one message, one example, an instruction, a status, each with its tokens and its name. Pure.

Segment names: `persona` and `setting` (build.py), `example:<n>`, `asked` (an instruction), `status:<turn id>`,
`note:<which>` (notes.py), `memory:<note>.<version>` (memory.py), `recall:<hash>` (recall.py), `cast:<ordinal>`
(introduction.py), `lore:<entry>@<ordinal>` (lore.py), `<role>:<turn id>` for text that a turn wrote (the name is needed
before the message has an id), `<role>:<message id>.<position>` for all other messages. They are unique in a session,
and in manifests on disk: a changed name is read again by every chat.
What it refuses to know: which segments are wanted, and what fits (build.py).
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
    """What the prompt needs of a model's chat template (engine/text/framing.py)."""

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

    def stop_strings(self, names: Sequence[str], own: str = "") -> tuple[str, ...]:
        """Texts at which a reply of `own` ends, so that it does not go on to speak for `names`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a prompt, in tokens; `max_reply`: where a chat asks for no length, `longest_reply`: where it does.

    `narrations`: how many of the last ones stay. `minimal` evicts all that can be evicted down to half of the context,
    for an attempt after crashes. `recall`: the most tokens of what is recalled; 0: nothing is.
    """

    context: int
    max_reply: int
    model_key: str
    minimal: bool = False
    narrations: int = 2
    longest_reply: int = 900
    recall: int = 300

    def reply(self, wanted: int | None = None) -> int:
        """Tokens kept free for a reply, as long as the chat has `wanted` it: a quarter of the context at most, else a
        small context could hold no story."""
        longest = min(wanted, self.longest_reply) if wanted else self.max_reply
        return max(1, min(longest, self.context // 4))


def message_segment(message: MessageView, framing: PromptFraming, limits: Limits) -> Segment:
    """The segment of one message: token-exact when this model wrote it, from its text otherwise."""
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
    """The name from its parts: by the turn that wrote the text, else by message and alternative."""
    return f"{role}:{turn_id or f'{message_id}.{position}'}"


def instruction_segment(instruction: str, framing: PromptFraming) -> Segment:
    """The instruction before a narration; its retry or continue finds the same segment."""
    return Segment(INSTRUCTION, framing.segment("note", "", instruction), ephemeral=True)


def status_header(story: Story, cast: Cast, framing: PromptFraming) -> tuple[int, ...]:
    """The tokens before the facts of a status."""
    return (*framing.reply_header("note", ""), *framing.inner_tokens(status_opening(story, cast) + "\n"))


def status_segment(message: MessageView, story: Story, cast: Cast, framing: PromptFraming, limits: Limits) -> Segment:
    """The status that a message carries: token-exact when this model wrote it."""
    status = message.chosen.status or {}
    tokens = tuple(status["tokens"])
    if status["model_key"] != limits.model_key:
        lines = [f"{fact['name']}: {fact['value']} {fact['unit']}".strip() for fact in status["fields"]]
        tokens = framing.inner_tokens("\n".join(lines))
    framed = (*status_header(story, cast, framing), *tokens, *framing.footer("note"))
    return Segment(f"status:{status['turn']}", framed, ephemeral=True)


def example_segments(story: Story, cast: Cast, framing: PromptFraming) -> list[Segment]:
    """The example dialogue of the card."""
    framed = (framing.segment("note", "", text) for text in example_texts(story.character.card, cast))
    return [Segment(f"example:{n}", tokens) for n, tokens in enumerate(framed)]
