"""What stands between the messages and is not one of them: notes, a status, what a narrator was asked. Pure.

All of it is ephemeral: it leaves the middle of the session without a word behind it being read again. So a note costs
its own tokens each time a person speaks, and nothing else.
Where each one stands must not depend on the kind of turn, or a suggestion would move it: the notes before the last word
of the person, the card's last instructions behind it, the status behind the message that it describes, the narrator's
task before the narration. What lorebooks add has places of its own (lore.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.segments import Segment
from store.views import MessageView, Story
from worker.prompt.persona import Cast, card_text, resolve
from worker.prompt.segments import Limits, PromptFraming, instruction_segment, segment_name, status_segment
from worker.prompt.turn_kinds import PartSpec, narration_instruction
from worker.prompt.window import WindowEntry


def drop_old_narrations(messages: Sequence[MessageView], n_narrations: int) -> tuple[MessageView, ...]:
    """All but the old narrations: only the last few of those stay in the session, and the pinned ones."""
    narrations = [message.id for message in messages if message.role == "narrator" and not message.pinned]
    old = set(narrations[: max(0, len(narrations) - n_narrations)])
    return tuple(message for message in messages if message.id not in old)


def with_notes(
    entries: list[WindowEntry], story: Story, spec: PartSpec, cast: Cast, framing: PromptFraming, limits: Limits
) -> list[WindowEntry]:
    """The entries of the messages with all that belongs between them."""
    entries = _with_narrators_task(entries, story, spec, cast, framing)
    entries = _with_status(entries, story, spec, cast, framing, limits)
    entries = _with_chat_notes(entries, story, cast, framing)
    return _with_last_instructions(entries, story, cast, framing)


def _with_narrators_task(
    entries: list[WindowEntry], story: Story, spec: PartSpec, cast: Cast, framing: PromptFraming
) -> list[WindowEntry]:
    """When the last word is a narration, what was asked for it is still there: a retry finds it."""
    last = entries[-1].message if entries else None
    if last is None or last.role != "narrator" or (spec.instruction and spec.keep_in_session):
        return entries
    asked = narration_instruction(story, cast, str(last.chosen.stats.get("hint", "")))
    return [*entries[:-1], WindowEntry(instruction_segment(asked, framing), last), entries[-1]]


def _with_status(
    entries: list[WindowEntry], story: Story, spec: PartSpec, cast: Cast, framing: PromptFraming, limits: Limits
) -> list[WindowEntry]:
    """The newest status, behind its message. A new one takes its place."""
    told = [n for n, entry in enumerate(entries) if entry.message and entry.message.chosen.status]
    if not told or spec.kind == "status":
        return entries
    message = entries[told[-1]].message
    assert message is not None
    status = WindowEntry(status_segment(message, story, cast, framing, limits), message)
    return [*entries[: told[-1] + 1], status, *entries[told[-1] + 1 :]]


def _with_last_instructions(
    entries: list[WindowEntry], story: Story, cast: Cast, framing: PromptFraming
) -> list[WindowEntry]:
    """What the card wants to be said last of all, behind the person's last word. There is nothing that it replaces."""
    card = story.character.card
    text = resolve(card_text(card, "post_history_instructions"), cast, card).strip()
    at = _last_word(entries)
    if not text or at is None:
        return entries
    note = Segment("note:last", framing.segment("note", "", text), True)
    return [*entries[: at + 1], WindowEntry(note, entries[at].message), *entries[at + 1 :]]


def _with_chat_notes(entries: list[WindowEntry], story: Story, cast: Cast, framing: PromptFraming) -> list[WindowEntry]:
    """The reference and the author's note, before the person's last word."""
    at = _last_word(entries) or 0
    message = entries[at].message if entries else None
    given = {"note:reference": story.chat.reference, "note:author": story.chat.author_note}
    texts = {name: resolve(text, cast, story.character.card) for name, text in given.items() if text.strip()}
    segments = [Segment(name, framing.segment("note", "", text), True) for name, text in texts.items() if text.strip()]
    return [*entries[:at], *(WindowEntry(segment, message) for segment in segments), *entries[at:]]


def _last_word(entries: list[WindowEntry]) -> int | None:
    """Where the person's last message stands."""
    spoken = (n for n in reversed(range(len(entries))) if _is_users_message(entries[n]))
    return next(spoken, None)


def _is_users_message(entry: WindowEntry) -> bool:
    """Not what only belongs to one."""
    message = entry.message
    return message is not None and message.role == "user" and entry.segment.name == segment_name(message)
