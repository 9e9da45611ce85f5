"""The kinds of work, as specs: which messages a part of a turn reads, who speaks then, and what they are asked. Pure.

What it refuses to know: tokens, windows (build.py), SQL, the engine.
When extending: a new kind is one more entry in `SCRIPTS`, and an opening in store/turns/begin.py.
Whatever is asked of a narrator stands before their message as a note that leaves the session when somebody answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from store.turns import NARRATOR
from store.views import MessageView, Story
from worker.prompt.persona import Cast

_INSTRUCTIONS = {
    "en": {
        "narrate": "The narrator now describes the scene in two or three sentences: place, light, sounds, what "
        "happens around {char} and {user}. Nobody speaks.",
        "hint": "The narrator mentions this: {hint}",
        "suggest": "Write the next message of {user}: one or two sentences, in the first person, as {user} talks.",
        "status": "Facts about {char} at this moment:",
    },
    "zh": {
        "narrate": "现在由旁白用两三句话描写场景:地点、光线、声音,以及{char}和{user}身边发生的事。没有人说话。",
        "hint": "旁白要提到:{hint}",
        "suggest": "写出{user}接下来要说的话:一两句,第一人称,符合{user}的语气。",
        "status": "{char}此刻的状态:",
    },
}


@dataclass(frozen=True, slots=True)
class PartSpec:
    """What one part reads, who speaks next, and what becomes of it.

    `again` is the message that gets another wording, `grows` the one that goes on. `asked` is a note that is read just
    before the reply. `keep` is False for what leaves no trace in the session.
    """

    kind: str
    messages: tuple[MessageView, ...]
    role: str
    name: str
    instruction: str = ""
    hint: str = ""
    retry_of: MessageView | None = None
    continues: MessageView | None = None
    keep_in_session: bool = True

    @property
    def about(self) -> str | None:
        """Id of the message that was there before."""
        message = self.retry_of or self.continues
        return message.id if message else None


@dataclass(frozen=True, slots=True)
class PartInput:
    """What a spec is made from: the story, its cast, and the message that the turn is about, if any."""

    story: Story
    cast: Cast
    about: str | None
    hint: str


def _chat(part_input: PartInput) -> PartSpec:
    return PartSpec("chat", part_input.story.messages, "character", part_input.cast.char)


def _retry(part_input: PartInput) -> PartSpec:
    """Everything before the message that is written again; everything when that one never came."""
    again = _message(part_input)
    before = part_input.story.messages if again is None else _before(part_input.story.messages, again)
    if again is not None and again.role == "narrator":
        hint = str(again.chosen.stats.get("hint", ""))
        asked = narration_instruction(part_input.story, part_input.cast, hint)
        return PartSpec("retry", before, "narrator", again.name, asked, hint, retry_of=again)
    return PartSpec("retry", before, "character", part_input.cast.char, retry_of=again)


def _continue(part_input: PartInput) -> PartSpec:
    """Everything before the message that grows; a reply to the user's last word when that one never came."""
    grows = _message(part_input)
    if grows is None:
        return PartSpec("continue", part_input.story.messages, "character", part_input.cast.char)
    hint = str(grows.chosen.stats.get("hint", ""))
    asked = narration_instruction(part_input.story, part_input.cast, hint) if grows.role == "narrator" else ""
    name = grows.name if grows.role == "narrator" else part_input.cast.char
    return PartSpec(
        "continue", _before(part_input.story.messages, grows), grows.role, name, asked, hint, continues=grows
    )


def _narrate(part_input: PartInput) -> PartSpec:
    asked = narration_instruction(part_input.story, part_input.cast, part_input.hint)
    return PartSpec("narrate", part_input.story.messages, "narrator", NARRATOR, asked, part_input.hint)


def _suggest(part_input: PartInput) -> PartSpec:
    asked = _words(part_input.story, "suggest", part_input.cast)
    return PartSpec("suggest", part_input.story.messages, "user", part_input.cast.user, asked, keep_in_session=False)


def _status(part_input: PartInput) -> PartSpec:
    return PartSpec("status", part_input.story.messages, "status", part_input.cast.char)


PART_KINDS: dict[str, Callable[[PartInput], PartSpec]] = {
    "chat": _chat,
    "retry": _retry,
    "continue": _continue,
    "narrate": _narrate,
    "suggest": _suggest,
    "status": _status,
}


def narration_instruction(story: Story, cast: Cast, hint: str) -> str:
    """What a narrator was asked."""
    asked = _words(story, "narrate", cast)
    return f"{asked}\n{_words(story, 'hint', cast, hint)}" if hint else asked


def status_opening(story: Story, cast: Cast) -> str:
    """The line above the facts."""
    return _words(story, "status", cast)


def _words(story: Story, what: str, cast: Cast, hint: str = "") -> str:
    texts = _INSTRUCTIONS["zh" if story.character.locale.startswith("zh") else "en"]
    return texts[what].format(char=cast.char, user=cast.user, hint=hint)


def _message(part_input: PartInput) -> MessageView | None:
    return next((message for message in part_input.story.messages if message.id == part_input.about), None)


def _before(messages: Sequence[MessageView], message: MessageView) -> tuple[MessageView, ...]:
    return tuple(earlier for earlier in messages if earlier.ordinal < message.ordinal)
