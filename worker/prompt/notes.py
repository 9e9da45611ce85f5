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
from worker.prompt.persona import Cast, field, resolve
from worker.prompt.segments import Framing, Limits, asked_segment, segment_name, status_segment
from worker.prompt.turn_kinds import Script, narration_asked
from worker.prompt.window import Entry


def in_memory(messages: Sequence[MessageView], n_narrations: int) -> tuple[MessageView, ...]:
    """All but the old narrations: only the last few of those stay in the session, and the pinned ones."""
    narrations = [message.id for message in messages if message.role == "narrator" and not message.pinned]
    old = set(narrations[: max(0, len(narrations) - n_narrations)])
    return tuple(message for message in messages if message.id not in old)


def with_notes(
    entries: list[Entry], story: Story, script: Script, cast: Cast, framing: Framing, limits: Limits
) -> list[Entry]:
    """The entries of the messages with all that belongs between them."""
    entries = _with_narrators_task(entries, story, script, cast, framing)
    entries = _with_status(entries, story, script, cast, framing, limits)
    entries = _with_chat_notes(entries, story, cast, framing)
    return _with_last_instructions(entries, story, cast, framing)


def _with_narrators_task(
    entries: list[Entry], story: Story, script: Script, cast: Cast, framing: Framing
) -> list[Entry]:
    """When the last word is a narration, what was asked for it is still there: a retry finds it."""
    last = entries[-1].message if entries else None
    if last is None or last.role != "narrator" or (script.asked and script.keep):
        return entries
    asked = narration_asked(story, cast, str(last.chosen.stats.get("hint", "")))
    return [*entries[:-1], Entry(asked_segment(asked, framing), last), entries[-1]]


def _with_status(
    entries: list[Entry], story: Story, script: Script, cast: Cast, framing: Framing, limits: Limits
) -> list[Entry]:
    """The newest status, behind its message. A new one takes its place."""
    told = [n for n, entry in enumerate(entries) if entry.message and entry.message.chosen.status]
    if not told or script.kind == "status":
        return entries
    message = entries[told[-1]].message
    assert message is not None
    status = Entry(status_segment(message, story, cast, framing, limits), message)
    return [*entries[: told[-1] + 1], status, *entries[told[-1] + 1 :]]


def _with_last_instructions(entries: list[Entry], story: Story, cast: Cast, framing: Framing) -> list[Entry]:
    """What the card wants to be said last of all, behind the person's last word. There is nothing that it replaces."""
    card = story.character.card
    text = resolve(field(card, "post_history_instructions"), cast, card).strip()
    at = _last_word(entries)
    if not text or at is None:
        return entries
    note = Segment("note:last", framing.segment("note", "", text), True)
    return [*entries[: at + 1], Entry(note, entries[at].message), *entries[at + 1 :]]


def _with_chat_notes(entries: list[Entry], story: Story, cast: Cast, framing: Framing) -> list[Entry]:
    """The reference and the author's note, before the person's last word."""
    at = _last_word(entries) or 0
    message = entries[at].message if entries else None
    given = {"note:reference": story.chat.reference, "note:author": story.chat.author_note}
    texts = {name: resolve(text, cast, story.character.card) for name, text in given.items() if text.strip()}
    segments = [Segment(name, framing.segment("note", "", text), True) for name, text in texts.items() if text.strip()]
    return [*entries[:at], *(Entry(segment, message) for segment in segments), *entries[at:]]


def _last_word(entries: list[Entry]) -> int | None:
    """Where the person's last message stands."""
    spoken = (n for n in reversed(range(len(entries))) if _is_users_message(entries[n]))
    return next(spoken, None)


def _is_users_message(entry: Entry) -> bool:
    """Not what only belongs to one."""
    message = entry.message
    return message is not None and message.role == "user" and entry.segment.name == segment_name(message)
