"""Story notes: what a chat keeps of messages that have left the context window, as people see and change it.

What it does: every function is one transaction with an optimistic lock on the chat's revision, as those of edits.py.
Whoever changes what a message shows calls `mark_stale` in the same transaction; a branch gets copies.
What it refuses to know: how a worker keeps a note (recording.py), prompts and tokens (worker/prompt/memory.py).
"""

from sqlalchemy import func, insert, literal, select, update
from sqlalchemy.orm import Session

from store import messages, texts
from store.db import Database
from store.errors import NotFound, Refused
from store.memory.tables import StoryNoteRow
from store.messages import clock, new_id, own_chat, raise_revision, refuse_if_changed
from store.models import Chat
from store.views import StoryNote, note_view, pack_tokens

MAX_LETTERS, MAX_NOTES = 2_000, 500
"""Of one note, and of one chat: the oldest covered ones make room."""
MAX_IN_PROMPT = 100
_UNSEEN = {"synchronize_session": False}


def list_notes(db: Database, owner_id: str, chat_id: str) -> tuple[StoryNote, ...]:
    """All notes of a chat, in the order of their messages. Raises NotFound, Refused "not_for_you"."""
    with db.reading() as session:
        own_chat(session, owner_id, chat_id, lock=False)
        return of_chat(session, chat_id)


def of_chat(session: Session, chat_id: str) -> tuple[StoryNote, ...]:
    """All notes of a chat, in the order of their messages."""
    row = StoryNoteRow
    wanted = select(row).where(row.chat_id == chat_id, row.deleted_at.is_(None))
    ordered = wanted.order_by(row.first_ordinal, row.last_ordinal, row.created_at, row.id).limit(MAX_NOTES)
    return tuple(map(note_view, session.scalars(ordered)))


def for_prompt(session: Session, chat_id: str) -> tuple[StoryNote, ...]:
    """The newest notes that no other note replaces, in the order of their messages."""
    row = StoryNoteRow
    wanted = select(row).where(row.chat_id == chat_id, row.deleted_at.is_(None), row.covered_by.is_(None))
    newest = session.scalars(wanted.order_by(row.first_ordinal.desc(), row.created_at.desc()).limit(MAX_IN_PROMPT))
    return tuple(map(note_view, reversed(newest.all())))


def edit_note(
    db: Database, owner_id: str, note_id: str, text: str, expected_revision: int, now: float | None = None
) -> tuple[StoryNote, int]:
    """Give a note another text; the note and the chat's new revision. The model reads it at the end of the story.

    Raises NotFound, Refused "moved_on", "busy", "empty", "too_long".
    """
    written = texts.clean(text).strip()
    if not written:
        raise Refused("empty")
    if len(written) > MAX_LETTERS:
        raise Refused("too_long")
    with db.session() as session:
        note, chat = _own_note(session, owner_id, note_id, expected_revision)
        note.text, note.tokens, note.model_key, note.state = written, None, None, "fresh"
        note.edited_at, note.version = clock(now), note.version + 1
        note.written_after = _last_ordinal(session, chat.id)
        return _changed(session, chat, note, now)


def pin_note(
    db: Database, owner_id: str, note_id: str, pinned: bool, expected_revision: int, now: float | None = None
) -> tuple[StoryNote, int]:
    """Pin a note: it stays in the memory as long as there are any. Raises NotFound, Refused "moved_on", "busy"."""
    with db.session() as session:
        note, chat = _own_note(session, owner_id, note_id, expected_revision)
        note.pinned = pinned
        return _changed(session, chat, note, now)


def rewrite_note(
    db: Database, owner_id: str, note_id: str, expected_revision: int, now: float | None = None
) -> tuple[StoryNote, int]:
    """Ask for a note to be written again, also one by hand. Raises NotFound, Refused "moved_on", "busy"."""
    with db.session() as session:
        note, chat = _own_note(session, owner_id, note_id, expected_revision)
        note.state, note.edited_at = "stale", None
        return _changed(session, chat, note, now)


def delete_note(
    db: Database, owner_id: str, note_id: str, expected_revision: int, now: float | None = None
) -> tuple[StoryNote, int]:
    """Remove a note; the notes that it replaced come back. Raises NotFound, Refused "moved_on", "busy"."""
    with db.session() as session:
        note, chat = _own_note(session, owner_id, note_id, expected_revision)
        note.deleted_at = clock(now)
        _free(session, note.id, _last_ordinal(session, chat.id))
        return _changed(session, chat, note, now)


def restore_note(
    db: Database, owner_id: str, note_id: str, expected_revision: int, now: float | None = None
) -> tuple[StoryNote, int]:
    """Undo a delete; notes that it had replaced stay. Raises NotFound, Refused "moved_on", "busy", "too_many_notes"."""
    with db.session() as session:
        note, chat = _own_note(session, owner_id, note_id, expected_revision, deleted=True)
        if count(session, chat.id) >= MAX_NOTES:
            raise Refused("too_many_notes", most=MAX_NOTES)
        note.deleted_at, note.version = None, note.version + 1
        note.written_after = _last_ordinal(session, chat.id)
        return _changed(session, chat, note, now)


def mark_stale(session: Session, chat_id: str, ordinal: int) -> None:
    """A message shows something else: every note that stands for it is to be written again (in the caller's
    transaction)."""
    row = StoryNoteRow
    about = row.chat_id == chat_id, row.first_ordinal <= ordinal, row.last_ordinal >= ordinal
    marking = update(row).where(*about, row.deleted_at.is_(None), row.state == "fresh")
    session.execute(marking.values(state="stale"), execution_options=_UNSEEN)


def delete_below(session: Session, chat_id: str, ordinal: int, now: float) -> None:
    """What comes after a message is deleted: so are the notes on it, and a note on both sides is stale (in the
    caller's transaction)."""
    row = StoryNoteRow
    below = row.chat_id == chat_id, row.first_ordinal > ordinal, row.deleted_at.is_(None)
    session.execute(update(row).where(*below).values(deleted_at=now), execution_options=_UNSEEN)
    mark_stale(session, chat_id, ordinal + 1)


def restore_below(session: Session, chat_id: str, ordinal: int, deleted_at: float | None) -> None:
    """Undo the `delete_below` of this time (in the caller's transaction)."""
    row = StoryNoteRow
    mark_stale(session, chat_id, ordinal + 1)
    below = row.chat_id == chat_id, row.first_ordinal > ordinal, row.deleted_at == deleted_at
    session.execute(update(row).where(*below).values(deleted_at=None), execution_options=_UNSEEN)


def copy_notes(session: Session, old_chat_id: str, chat: Chat, last_ordinal: int) -> None:
    """Give a branch the notes on its own messages, in the caller's transaction; a note on notes comes with them."""
    notes = [note for note in of_chat(session, old_chat_id) if note.last_ordinal <= last_ordinal]
    ids = {note.id: new_id() for note in notes}
    values = [
        {
            **{name: getattr(note, name) for name in _COPIED},
            "id": ids[note.id],
            "chat_id": chat.id,
            "covered_by": ids.get(note.covered_by or ""),
            "written_after": min(note.written_after, last_ordinal),
            "tokens": pack_tokens(note.tokens),
        }
        for note in notes
    ]
    if values:
        session.execute(insert(StoryNoteRow), values)


_COPIED = (
    *("first_ordinal", "last_ordinal", "level", "text", "model_key", "version"),
    *("state", "pinned", "created_at", "edited_at"),
)


def _own_note(
    session: Session, owner_id: str, note_id: str, expected_revision: int, deleted: bool = False
) -> tuple[StoryNoteRow, Chat]:
    note = session.get(StoryNoteRow, note_id)
    if note is None or (note.deleted_at is not None) != deleted:
        raise NotFound("note")
    chat = own_chat(session, owner_id, note.chat_id)
    refuse_if_changed(session, chat, expected_revision)
    return note, chat


def _changed(session: Session, chat: Chat, note: StoryNoteRow, now: float | None) -> tuple[StoryNote, int]:
    revision = raise_revision(chat, clock(now))
    session.flush()
    session.refresh(note)
    return note_view(note), revision


def _free(session: Session, note_id: str, last_ordinal: int) -> None:
    """Let the notes that this one replaced stand for themselves again, read at the end of the story."""
    freeing = update(StoryNoteRow).where(StoryNoteRow.covered_by == note_id)
    values = {"covered_by": None, "version": StoryNoteRow.version + literal(1), "written_after": last_ordinal}
    session.execute(freeing.values(values), execution_options=_UNSEEN)


def _last_ordinal(session: Session, chat_id: str) -> int:
    last = messages.last_message(session, chat_id)
    return last.ordinal if last else -1


def count(session: Session, chat_id: str) -> int:
    """How many notes a chat has."""
    counted = select(func.count()).select_from(StoryNoteRow)
    return session.scalar(counted.where(StoryNoteRow.chat_id == chat_id, StoryNoteRow.deleted_at.is_(None))) or 0
