"""The introduction: who the person has become in the middle of a story, told where it changed. Pure.

The pinned beginning, the examples and the lore keep the person as they were introduced there, so nothing is read again.
The note stands before the first message since the change and stays in memory; another change withdraws it without a
trace, because it is ephemeral.
What it refuses to know: when somebody is introduced anew (store/introductions.py).
"""

from __future__ import annotations

from dataclasses import replace

from engine.segments import Segment
from store.views import Story
from worker.prompt.persona import Cast, card_text
from worker.prompt.segments import PromptFraming
from worker.prompt.turn_kinds import introduction_text
from worker.prompt.window import WindowEntry

PREFIX = "cast:"


def cast_of(story: Story) -> Cast:
    """The two who talk now."""
    nickname = card_text(story.character.card, "nickname")
    chat = story.chat
    return Cast(nickname or story.character.name, chat.user_name, chat.user_persona, chat.id, chat.created_at)


def introduced_cast(story: Story) -> Cast:
    """The two as the beginning of the story knows them."""
    known = story.chat.introduced
    return replace(cast_of(story), user=known["name"], persona=known["about"]) if known else cast_of(story)


def with_introduction(entries: list[WindowEntry], story: Story, framing: PromptFraming) -> list[WindowEntry]:
    """The entries with the note of who the person is since; it is not evicted with the messages around it."""
    known = story.chat.introduced
    if not known or not entries:
        return entries
    since = int(known["since"])
    text = introduction_text(story, cast_of(story), introduced_cast(story))
    note = Segment(f"{PREFIX}{since}", framing.segment("note", "", text), ephemeral=True)
    at = next((n for n, one in enumerate(entries) if one.message and one.message.ordinal >= since), len(entries))
    return [*entries[:at], WindowEntry(note, entries[-1].message, pinned=True), *entries[at:]]
