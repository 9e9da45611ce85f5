"""The kinds of work, as scripts: which messages a part of a turn reads, who speaks then, and what they are asked. Pure.

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

_ASKED = {
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
class Script:
    """What one part reads, who speaks next, and what becomes of it.

    `again` is the message that gets another wording, `grows` the one that goes on. `asked` is a note that is read just
    before the reply. `keep` is False for what leaves no trace in the session.
    """

    kind: str
    messages: tuple[MessageView, ...]
    role: str
    name: str
    asked: str = ""
    hint: str = ""
    again: MessageView | None = None
    grows: MessageView | None = None
    keep: bool = True

    @property
    def about(self) -> str | None:
        """Id of the message that was there before."""
        message = self.again or self.grows
        return message.id if message else None


@dataclass(frozen=True, slots=True)
class Scene:
    """What a script is made from: the story, its cast, and the message that the turn is about, if any."""

    story: Story
    cast: Cast
    about: str | None
    hint: str


def _chat(scene: Scene) -> Script:
    return Script("chat", scene.story.messages, "character", scene.cast.char)


def _retry(scene: Scene) -> Script:
    """Everything before the message that is written again; everything when that one never came."""
    again = _message(scene)
    before = scene.story.messages if again is None else _before(scene.story.messages, again)
    if again is not None and again.role == "narrator":
        hint = str(again.chosen.stats.get("hint", ""))
        asked = narration_asked(scene.story, scene.cast, hint)
        return Script("retry", before, "narrator", again.name, asked, hint, again=again)
    return Script("retry", before, "character", scene.cast.char, again=again)


def _continue(scene: Scene) -> Script:
    """Everything before the message that grows; a reply to the user's last word when that one never came."""
    grows = _message(scene)
    if grows is None:
        return Script("continue", scene.story.messages, "character", scene.cast.char)
    hint = str(grows.chosen.stats.get("hint", ""))
    asked = narration_asked(scene.story, scene.cast, hint) if grows.role == "narrator" else ""
    name = grows.name if grows.role == "narrator" else scene.cast.char
    return Script("continue", _before(scene.story.messages, grows), grows.role, name, asked, hint, grows=grows)


def _narrate(scene: Scene) -> Script:
    asked = narration_asked(scene.story, scene.cast, scene.hint)
    return Script("narrate", scene.story.messages, "narrator", NARRATOR, asked, scene.hint)


def _suggest(scene: Scene) -> Script:
    asked = _words(scene.story, "suggest", scene.cast)
    return Script("suggest", scene.story.messages, "user", scene.cast.user, asked, keep=False)


def _status(scene: Scene) -> Script:
    return Script("status", scene.story.messages, "status", scene.cast.char)


SCRIPTS: dict[str, Callable[[Scene], Script]] = {
    "chat": _chat,
    "retry": _retry,
    "continue": _continue,
    "narrate": _narrate,
    "suggest": _suggest,
    "status": _status,
}


def narration_asked(story: Story, cast: Cast, hint: str) -> str:
    """What a narrator was asked."""
    asked = _words(story, "narrate", cast)
    return f"{asked}\n{_words(story, 'hint', cast, hint)}" if hint else asked


def status_opening(story: Story, cast: Cast) -> str:
    """The line above the facts."""
    return _words(story, "status", cast)


def _words(story: Story, what: str, cast: Cast, hint: str = "") -> str:
    texts = _ASKED["zh" if story.character.locale.startswith("zh") else "en"]
    return texts[what].format(char=cast.char, user=cast.user, hint=hint)


def _message(scene: Scene) -> MessageView | None:
    return next((message for message in scene.story.messages if message.id == scene.about), None)


def _before(messages: Sequence[MessageView], message: MessageView) -> tuple[MessageView, ...]:
    return tuple(earlier for earlier in messages if earlier.ordinal < message.ordinal)
