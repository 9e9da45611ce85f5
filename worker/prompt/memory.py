"""Story notes in the prompt: which of them a prompt has and where they stand, and the questions that ask for new ones.
Pure.

How: a note stands behind the message after which it was written, where its KV is, also when the messages that it stands
for have left the window; it is ephemeral, so it can leave from the middle. All notes together take a share of the
context: beyond it the oldest that are not pinned are left out, until one note replaces them.
What it refuses to know: when there is time to write (worker/remember.py), SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.segments import Segment
from store.turns.kinds import NARRATOR
from store.views import MessageView, Story, StoryNote
from worker.prompt.introduction import PREFIX as INTRODUCTION
from worker.prompt.lore import PREFIX as LORE
from worker.prompt.persona import Cast
from worker.prompt.segments import Limits, PromptFraming
from worker.prompt.window import WindowEntry

SHARE = 5
"""Notes may take one part of so many of the context."""
ROLE, NAME = "narrator", NARRATOR
QUOTED = 60  # letters of the first and the last message in a question
QUESTION = "memory:asked"
"""The name of a question's segment, beside which the instruction to a narration may stand."""
_BEGINNINGS = {"en": "Earlier, {user} and {char}", "zh": "此前，{user}和{char}"}
"""What a note has already: small models go on with what happened, and in the third person."""
_QUESTIONS = {
    "en": {
        "scene": "The story pauses. The narrator sums up what happened earlier, from “{first}” to “{last}”, in 60 to "
        "120 words, in the third person and in the past tense: names, places, things, numbers, promises. Only facts.",
        "told": "This happened earlier in the story:\n{told}",
        "again": "The story pauses. The narrator sums this up in 60 to 120 words, in the third person and in the past "
        "tense: names, places, things, numbers, promises. Only facts.",
        "notes": "The story pauses. The narrator sums up all that was told as “Earlier”, from “{first}” to “{last}”, "
        "in 60 to 120 words, in the third person and in the past tense: names, places, numbers, promises. Only facts.",
    },
    "zh": {
        "scene": "故事暂停。旁白用第三人称概括此前发生的事，从“{first}”到“{last}”，一百字左右："
        "人名、地点、物件、数字、约定。只写事实。",
        "told": "故事里此前发生了这些：\n{told}",
        "again": "故事暂停。旁白用第三人称概括以上内容，一百字左右：人名、地点、物件、数字、约定。只写事实。",
        "notes": "故事暂停。旁白用第三人称概括所有“此前”的笔记，从“{first}”到“{last}”，一百字左右："
        "人名、地点、物件、数字、约定。只写事实。",
    },
}


@dataclass(frozen=True, slots=True)
class PlacedNote:
    """A note's segment, and the ordinal of the message behind which it stands."""

    behind: int
    segment: Segment


def segment_name(note_id: str, version: int) -> str:
    """The name of a note's segment: an edited or rewritten note is another segment."""
    return f"memory:{note_id}.{version}"


def note_segment(note: StoryNote, framing: PromptFraming, limits: Limits) -> Segment:
    """The segment of a note: token-exact when this model wrote it, from its text otherwise."""
    if note.tokens and note.model_key == limits.model_key:
        tokens = framing.segment_from_tokens(ROLE, NAME, note.tokens)
    else:
        tokens = framing.segment(ROLE, NAME, note.text)
    return Segment(segment_name(note.id, note.version), tokens, ephemeral=True)


def placed_notes(
    story: Story, visible: Sequence[WindowEntry], framing: PromptFraming, limits: Limits
) -> list[PlacedNote]:
    """The notes of a prompt, oldest first: those whose messages have all left the window, within the share."""
    inside = [entry.message.ordinal for entry in visible if entry.message is not None and not entry.pinned]
    if limits.minimal or not inside:
        return []
    left = limits.context // SHARE
    placed = []
    gone = [note for note in story.notes if note.last_ordinal < inside[0]]
    for note in sorted(gone, key=lambda note: (note.pinned, note.last_ordinal), reverse=True):
        segment = note_segment(note, framing, limits)
        left -= len(segment.tokens)
        if left >= 0:
            placed.append(PlacedNote(note.written_after, segment))
    return sorted(placed, key=lambda one: (one.behind, one.segment.name))


def with_placed(kept: Sequence[WindowEntry], notes: Sequence[PlacedNote]) -> list[Segment]:
    """The segments of the window with the notes between them, each behind all that belongs to its message."""
    segments: list[Segment] = []
    waiting = list(notes)
    for entry in kept:
        before = _last_before(entry)
        while waiting and waiting[0].behind <= before:
            segments.append(waiting.pop(0).segment)
        segments.append(entry.segment)
    return [*segments, *(note.segment for note in waiting)]


def _last_before(entry: WindowEntry) -> int:
    """The ordinal of the last message whose notes stand before this entry; -1: none has to."""
    name = entry.segment.name
    if name.startswith(LORE):  # it belongs to the last message, wherever it stands
        return int(name.rpartition("@")[2])
    if name.startswith(INTRODUCTION):
        return int(name.removeprefix(INTRODUCTION)) - 1
    return entry.message.ordinal - 1 if entry.message else -1


def n_tokens(notes: Sequence[PlacedNote]) -> int:
    """The tokens of some notes together."""
    return sum(len(note.segment.tokens) for note in notes)


def scene_to_note(messages: Sequence[MessageView], n_evicted: int) -> tuple[MessageView, ...]:
    """The messages of the scene, oldest first; empty where it is no more than one message, or the story's end."""
    scene = tuple(messages[:n_evicted])
    return scene if 1 < len(scene) <= len(messages) - KEPT else ()


KEPT = 4
"""The last messages are never summed up: the two last exchanges."""


def beginning(language: str, cast: Cast) -> str:
    """What a note has already."""
    return _BEGINNINGS[language].format(user=cast.user, char=cast.char)


def scene_question(language: str, scene: Sequence[MessageView]) -> str:
    """What asks for a note on a scene that is in the session."""
    return _QUESTIONS[language]["scene"].format(first=_quoted(scene[0].text), last=_quoted(scene[-1].text))


def again_question(language: str, told: str) -> str:
    """What asks for a note on messages that are not in the session any more; `told`: their text."""
    texts = _QUESTIONS[language]
    return f"{texts['told'].format(told=told)}\n\n{texts['again']}"


def notes_question(language: str, notes: Sequence[StoryNote]) -> str:
    """What asks for one note that replaces some."""
    return _QUESTIONS[language]["notes"].format(first=_quoted(notes[0].text), last=_quoted(notes[-1].text))


def _quoted(text: str) -> str:
    """The first words of a text, on one line."""
    line = " ".join(text.replace("“", "").replace("”", "").split())
    return line if len(line) <= QUOTED else f"{line[:QUOTED]}…"
