"""The kinds of a turn's parts: which messages each reads, who speaks, and with which instruction. Pure.

Each kind of store/turns/kinds.py has a function here, from `PartInput` to `PartSpec`. An instruction (to the narrator,
or for a suggestion) stands as a note before the reply; it is ephemeral and leaves the session when the next person
speaks.
What it refuses to know: tokens and windows (build.py), SQL, the engine.
To add a kind of turn:
    store/turns/kinds.py        its entry in KINDS; a new opening: begin.py, a new result: end.py
    store/models.py             its name in KINDS, with a migration of the check constraint
    here                        its entry in PART_KINDS, its instruction in every language of `_INSTRUCTIONS`
    worker/prompt/replies.py    `_MAX_TOKENS`, if it is shorter than a reply
    worker/prompt/draft.py, worker/attempt.py, only for a new result
    web/templates/              chat.html, _chat_icons.html: its button; _dashboard.html: its name for admins
    web/static/js/chat/         tools.js: what the button sends; stages.js, turn.js, controller.js: how it is shown
    web/translations/           `make words`, then translate
    tests/                      worker/test_turn_kinds.py; nemesis/clients.py (KINDS): the storm plays it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from store.turns.kinds import KINDS, NARRATOR, Result
from store.views import MessageView, Story
from worker.prompt.persona import Cast

_INSTRUCTIONS = {
    "en": {
        "narrate": "The narrator now describes the scene in two or three sentences: place, light, sounds, what "
        "happens around {char} and {user}. Nobody speaks.",
        "hint": "The narrator mentions this: {hint}",
        "suggest": "Write the next message of {user}: one or two sentences, in the first person, as {user} talks.",
        "status": "Facts about {char} at this moment:",
        "renamed": "From here on {char} talks with {user}. This is who {before} is called now.",
        "about": "From here on this holds for {user}: {about}",
        "nothing": "What was said about {before} at the beginning no longer holds.",
        "length": "Each reply has about {words} words, no more.",
    },
    "zh": {
        "narrate": "现在由旁白用两三句话描写场景:地点、光线、声音,以及{char}和{user}身边发生的事。没有人说话。",
        "hint": "旁白要提到:{hint}",
        "suggest": "写出{user}接下来要说的话:一两句,第一人称,符合{user}的语气。",
        "status": "{char}此刻的状态:",
        "renamed": "从这里起,和{char}说话的人叫{user}。{before}从现在起改叫这个名字。",
        "about": "从这里起,关于{user}:{about}",
        "nothing": "开头关于{before}的描述不再有效。",
        "length": "每次回复约{words}字,不要更长。",
    },
}
_WORDS_PER_TOKEN = {"en": 0.6, "zh": 1.0}  # with room to end the sentence before the limit


@dataclass(frozen=True, slots=True)
class PartSpec:
    """What one part reads, who speaks next, and what becomes of the reply.

    `retry_of` is the message that gets another alternative, `continues` the one that grows. `instruction` is a note
    that is read just before the reply; `hint` is what the person wanted a narrator to mention; `begins` is
    the beginning of a new alternative, which the reply goes on from. A part with
    `keep_in_session` False leaves no trace in the session.
    """

    kind: str
    messages: tuple[MessageView, ...]
    role: str
    name: str
    instruction: str = ""
    hint: str = ""
    begins: str = ""
    retry_of: MessageView | None = None
    continues: MessageView | None = None
    keep_in_session: bool = True

    @property
    def result(self) -> Result:
        """What the part leaves behind."""
        return KINDS[self.kind].result

    @property
    def target(self) -> MessageView | None:
        """The message that the reply changes; None when it adds one."""
        return self.retry_of or self.continues

    @property
    def target_id(self) -> str | None:
        """Id of the message that the reply changes."""
        return self.target.id if self.target else None

    @property
    def ordinal(self) -> int:
        """The ordinal of the reply: that of the message that it changes, or the next one."""
        return self.target.ordinal if self.target else 1 + max((m.ordinal for m in self.messages), default=-1)


@dataclass(frozen=True, slots=True)
class PartInput:
    """What a `PartSpec` is made from: the story, its cast, the id of the message that the turn is about, the hint, and
    what a new alternative of that message begins with."""

    story: Story
    cast: Cast
    message_id: str | None
    hint: str
    begins: str = ""


def _chat(part: PartInput) -> PartSpec:
    return PartSpec("chat", part.story.messages, "character", part.cast.char)


def _retry(part: PartInput) -> PartSpec:
    """Read everything before the message that is retried; everything when that one was never written."""
    message = _message(part)
    if message is None:
        return PartSpec("retry", part.story.messages, "character", part.cast.char)
    before = _before(part.story.messages, message)
    if message.role != "narrator":
        return PartSpec("retry", before, "character", part.cast.char, begins=part.begins, retry_of=message)
    hint, instruction = _as_narrated(part, message)
    return PartSpec("retry", before, "narrator", message.name, instruction, hint, part.begins, retry_of=message)


def _continue(part: PartInput) -> PartSpec:
    """Read everything before the message that grows; a plain reply when that one was never written."""
    message = _message(part)
    if message is None:
        return PartSpec("continue", part.story.messages, "character", part.cast.char)
    before, name = _before(part.story.messages, message), part.cast.char
    hint, instruction = str(message.chosen.stats.get("hint", "")), ""
    if message.role == "narrator":
        name, (hint, instruction) = message.name, _as_narrated(part, message)
    return PartSpec("continue", before, message.role, name, instruction, hint, continues=message)


def _narrate(part: PartInput) -> PartSpec:
    instruction = narration_instruction(part.story, part.cast, part.hint)
    return PartSpec("narrate", part.story.messages, "narrator", NARRATOR, instruction, part.hint)


def _suggest(part: PartInput) -> PartSpec:
    instruction = _text(part.story, "suggest", part.cast)
    return PartSpec("suggest", part.story.messages, "user", part.cast.user, instruction, keep_in_session=False)


def _status(part: PartInput) -> PartSpec:
    return PartSpec("status", part.story.messages, "status", part.cast.char)


PART_KINDS: dict[str, Callable[[PartInput], PartSpec]] = {
    "chat": _chat,
    "retry": _retry,
    "continue": _continue,
    "narrate": _narrate,
    "suggest": _suggest,
    "status": _status,
}


def narration_instruction(story: Story, cast: Cast, hint: str) -> str:
    """The instruction to a narrator."""
    instruction = _text(story, "narrate", cast)
    return f"{instruction}\n{_text(story, 'hint', cast, hint)}" if hint else instruction


def length_instruction(story: Story) -> str:
    """How long replies should be, in words, where the chat asks for a length: a limit alone would cut them off."""
    wanted = story.chat.settings.get("reply_tokens")
    if not wanted:
        return ""
    language = _language(story)
    words = round(wanted * _WORDS_PER_TOKEN[language], -1)
    return _INSTRUCTIONS[language]["length"].format(words=int(max(10, words)))


def introduction_text(story: Story, now: Cast, before: Cast) -> str:
    """Who the person has become, where that differs from what the beginning of the prompt says."""
    words = {"char": now.char, "user": now.user, "before": before.user, "about": now.persona.strip()}
    texts = _INSTRUCTIONS[_language(story)]
    keys = ["renamed"] if now.user != before.user else []
    if now.persona.strip() != before.persona.strip():
        keys.append("about" if words["about"] else "nothing")
    return "\n".join(texts[key].format(**words) for key in keys)


def status_opening(story: Story, cast: Cast) -> str:
    """The line above the facts of a status."""
    return _text(story, "status", cast)


def _as_narrated(part: PartInput, message: MessageView) -> tuple[str, str]:
    """The hint and the instruction with which a narration was written."""
    hint = str(message.chosen.stats.get("hint", ""))
    return hint, narration_instruction(part.story, part.cast, hint)


def _text(story: Story, key: str, cast: Cast, hint: str = "") -> str:
    """A text of `_INSTRUCTIONS` in the language of the character."""
    return _INSTRUCTIONS[_language(story)][key].format(char=cast.char, user=cast.user, hint=hint)


def _language(story: Story) -> str:
    return "zh" if story.character.locale.startswith("zh") else "en"


def _message(part: PartInput) -> MessageView | None:
    return next((message for message in part.story.messages if message.id == part.message_id), None)


def _before(messages: Sequence[MessageView], message: MessageView) -> tuple[MessageView, ...]:
    return tuple(earlier for earlier in messages if earlier.ordinal < message.ordinal)
