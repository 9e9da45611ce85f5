"""Notes: the ephemeral segments between the messages (chat notes, status, instructions). Pure.

Ephemeral means: a note leaves the middle of the session without any text behind it being read again. So it costs its
own tokens each time a person speaks, and nothing else.
The place of a note must not depend on the kind of turn, or a suggestion would move it: the chat's notes stand before
the last message of the person, the card's last instructions behind it, the status behind the message that it describes,
the instruction to a narrator before the narration. Lore has places of its own (lore.py).
To add a note or another segment of the prompt:
    here, in `with_notes`        a function that inserts it (persona.py instead, if it is pinned and never changes)
    worker/prompt/segments.py    its name, in the list of segment names
    worker/warmup.py             `_plan`, if it moves with the person's next message: a preload must leave it out
    for a text of the card       store/cards/ (its fields), web/characters/card_form.py
    for a text of the chat       store/models.py with a migration, store/views/stories.py, store/chats.py (CHANGEABLE,
                                 NOTES), store/edits.py (copies), store/export.py, store/chat_transfer.py and
                                 store/chat_files/ (document, native), web/live/changes.py, web/serializers.py,
                                 web/templates/_setup_panel.html, web/static/js/chat/setup_panel.js
    tests/worker/test_notes.py   that it costs its own tokens only
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.segments import Segment
from store.turns.kinds import Result
from store.views import MessageView, Story
from worker.prompt.persona import Cast, card_text, resolve
from worker.prompt.segments import Limits, PromptFraming, instruction_segment, segment_name, status_segment
from worker.prompt.turn_kinds import PartSpec, length_instruction, narration_instruction
from worker.prompt.window import WindowEntry


def drop_old_narrations(messages: Sequence[MessageView], n_narrations: int) -> tuple[MessageView, ...]:
    """The messages without old narrations: the last `n_narrations` stay, and the pinned ones."""
    narrations = [message.id for message in messages if message.role == "narrator" and not message.pinned]
    old = set(narrations[: max(0, len(narrations) - n_narrations)])
    return tuple(message for message in messages if message.id not in old)


def with_notes(
    entries: list[WindowEntry],
    story: Story,
    spec: PartSpec,
    cast: Cast,
    framing: PromptFraming,
    limits: Limits,
    recalled: Segment | None = None,
) -> list[WindowEntry]:
    """The entries of the messages with all notes between them; `recalled` (recall.py) stands with those of the chat."""
    entries = _with_narrator_instruction(entries, story, spec, cast, framing)
    entries = _with_status(entries, story, spec, cast, framing, limits)
    entries = _with_chat_notes(entries, story, cast, framing, recalled)
    return _with_last_instructions(entries, story, cast, framing)


def _with_narrator_instruction(
    entries: list[WindowEntry], story: Story, spec: PartSpec, cast: Cast, framing: PromptFraming
) -> list[WindowEntry]:
    """Keep the instruction before the last message if that is a narration, so that a retry finds it in the session."""
    last = entries[-1].message if entries else None
    if last is None or last.role != "narrator" or (spec.instruction and spec.keep_in_session):
        return entries
    instruction = narration_instruction(story, cast, str(last.chosen.stats.get("hint", "")))
    return [*entries[:-1], WindowEntry(instruction_segment(instruction, framing), last), entries[-1]]


def _with_status(
    entries: list[WindowEntry], story: Story, spec: PartSpec, cast: Cast, framing: PromptFraming, limits: Limits
) -> list[WindowEntry]:
    """Insert the newest status behind its message; a new one takes its place."""
    with_status = [n for n, entry in enumerate(entries) if entry.message and entry.message.chosen.status]
    if not with_status or spec.result is Result.STATUS:
        return entries
    message = entries[with_status[-1]].message
    assert message is not None
    status = WindowEntry(status_segment(message, story, cast, framing, limits), message)
    return [*entries[: with_status[-1] + 1], status, *entries[with_status[-1] + 1 :]]


def _with_last_instructions(
    entries: list[WindowEntry], story: Story, cast: Cast, framing: PromptFraming
) -> list[WindowEntry]:
    """Insert the card's post-history instructions behind the person's last message."""
    card = story.character.card
    text = resolve(card_text(card, "post_history_instructions"), cast, card).strip()
    at = _last_user_entry(entries)
    if not text or at is None:
        return entries
    note = Segment("note:last", framing.segment("note", "", text), True)
    return [*entries[: at + 1], WindowEntry(note, entries[at].message), *entries[at + 1 :]]


def _with_chat_notes(
    entries: list[WindowEntry], story: Story, cast: Cast, framing: PromptFraming, recalled: Segment | None
) -> list[WindowEntry]:
    """Insert what was recalled, the reference, the author's note and the length of replies before the person's last
    message."""
    at = _last_user_entry(entries) or 0
    message = entries[at].message if entries else None
    notes = {
        "note:reference": story.chat.reference,
        "note:author": story.chat.author_note,
        "note:length": length_instruction(story),
    }
    texts = {name: resolve(text, cast, story.character.card) for name, text in notes.items() if text.strip()}
    segments = [Segment(name, framing.segment("note", "", text), True) for name, text in texts.items() if text.strip()]
    segments = [recalled, *segments] if recalled else segments
    return [*entries[:at], *(WindowEntry(segment, message) for segment in segments), *entries[at:]]


def _last_user_entry(entries: list[WindowEntry]) -> int | None:
    """The index of the person's last message."""
    indices = (n for n in reversed(range(len(entries))) if _is_users_message(entries[n]))
    return next(indices, None)


def _is_users_message(entry: WindowEntry) -> bool:
    """Whether this is a message of the person, not a note that belongs to one."""
    message = entry.message
    return message is not None and message.role == "user" and entry.segment.name == segment_name(message)
