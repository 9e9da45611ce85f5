"""Story notes: what a chat keeps of messages that have left the context window; written by a worker, edited by people.

What it does: every function is one transaction with an optimistic lock on the chat's revision, as those of edits.py; a
worker's note and the window that lies behind its messages are written together. Whoever changes what a message shows
calls `mark_stale` in the same transaction.
What it refuses to know: prompts and tokens (worker/prompt/memory.py), and when there is time to write (worker).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, literal, select, update
from sqlalchemy.orm import Session

from store import messages, texts
from store.db import Database
from store.errors import NotFound, Refused
from store.memory.tables import StoryNoteRow
from store.messages import clock, new_id, own_chat, raise_revision, refuse_if_changed
from store.models import UNFINISHED, Chat, Turn
from store.views import StoryNote, note_view, pack_tokens

MAX_LETTERS, MAX_NOTES = 2_000, 500
"""Of one note, and of one chat: the oldest covered ones make room."""
MAX_IN_PROMPT = 100


@dataclass(frozen=True)
class NewNote:
    """What a worker wrote about the messages `first_ordinal` to `last_ordinal`, behind the message `written_after`.

    `covers`: ids of the notes that it replaces in the prompt (a note of level 2). `replaces`: the id of the stale note
    that it is written for again.
    """

    text: str
    tokens: tuple[int, ...]
    model_key: str
    first_ordinal: int
    last_ordinal: int
    written_after: int
    id: str = ""
    covers: tuple[str, ...] = ()
    replaces: str = ""


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
        if _n_notes(session, chat.id) >= MAX_NOTES:
            raise Refused("too_many_notes", most=MAX_NOTES)
        note.deleted_at, note.version = None, note.version + 1
        note.written_after = _last_ordinal(session, chat.id)
        return _changed(session, chat, note, now)


def record_note(
    db: Database, chat_id: str, revision: int, window: dict[str, Any], new: NewNote, now: float | None = None
) -> StoryNote | None:
    """Keep what a worker wrote, and the window behind its messages (compare-and-set on the revision).

    None, and no change, when the chat has moved on, a turn has begun, or the note that was to be replaced is not stale
    any more. The revision stays: nothing that a tab shows has changed but the memory.
    """
    with db.session() as session:
        chat = session.get(Chat, chat_id, with_for_update=True)
        if chat is None or chat.deleted_at is not None or chat.revision != revision or _is_busy(session, chat_id):
            return None
        note = _replaced(session, chat_id, new) if new.replaces else _added(session, chat_id, new, clock(now))
        if note is None:
            return None
        session.flush()
        covered = update(StoryNoteRow).where(StoryNoteRow.chat_id == chat_id, StoryNoteRow.id.in_(new.covers))
        session.execute(covered.values(covered_by=note.id), execution_options={"synchronize_session": False})
        chat.window = dict(window)
        session.flush()
        return note_view(note)


def mark_stale(session: Session, chat_id: str, ordinal: int) -> None:
    """A message shows something else: every note that stands for it is to be written again (in the caller's
    transaction)."""
    row = StoryNoteRow
    about = row.chat_id == chat_id, row.first_ordinal <= ordinal, row.last_ordinal >= ordinal
    marking = update(row).where(*about, row.deleted_at.is_(None), row.state == "fresh")
    session.execute(marking.values(state="stale"), execution_options={"synchronize_session": False})


def next_stale(db: Database, chat_ids: Sequence[str]) -> tuple[str, StoryNote] | None:
    """A stale note that no person wrote, of one of these chats, with the chat's id; None if there is none."""
    row = StoryNoteRow
    waiting = select(row).where(row.state == "stale", row.edited_at.is_(None), row.deleted_at.is_(None))
    waiting = waiting.where(row.covered_by.is_(None), row.chat_id.in_(chat_ids[:MAX_NOTES]))
    with db.reading() as session:
        found = session.scalars(waiting.order_by(row.created_at, row.id).limit(1)).first()
        return (found.chat_id, note_view(found)) if found else None


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


def _added(session: Session, chat_id: str, new: NewNote, now: float) -> StoryNoteRow:
    _make_room(session, chat_id, now)
    note = StoryNoteRow(
        id=new.id or new_id(),
        chat_id=chat_id,
        first_ordinal=new.first_ordinal,
        last_ordinal=new.last_ordinal,
        written_after=new.written_after,
        level=2 if new.covers else 1,
        text=new.text[:MAX_LETTERS],
        tokens=pack_tokens(new.tokens),
        model_key=new.model_key,
        version=1,
        state="fresh",
        pinned=False,
        created_at=now,
    )
    session.add(note)
    return note


def _make_room(session: Session, chat_id: str, now: float) -> None:
    """Remove the oldest notes of a chat that has as many as it may, first those that another note replaces."""
    n_over = _n_notes(session, chat_id) - MAX_NOTES + 1
    if n_over > 0:
        row = StoryNoteRow
        oldest = select(row.id).where(row.chat_id == chat_id, row.deleted_at.is_(None))
        oldest = oldest.order_by(row.covered_by.is_(None), row.pinned, row.created_at, row.id).limit(n_over)
        removing = update(row).where(row.id.in_(session.scalars(oldest).all())).values(deleted_at=now)
        session.execute(removing, execution_options={"synchronize_session": False})


def _replaced(session: Session, chat_id: str, new: NewNote) -> StoryNoteRow | None:
    note = session.get(StoryNoteRow, new.replaces)
    if note is None or note.chat_id != chat_id or note.deleted_at is not None:
        return None
    if note.state != "stale" or note.edited_at is not None:
        return None
    note.text, note.tokens, note.model_key = new.text[:MAX_LETTERS], pack_tokens(new.tokens), new.model_key
    note.state, note.version, note.written_after = "fresh", note.version + 1, new.written_after
    return note


def _free(session: Session, note_id: str, last_ordinal: int) -> None:
    """Let the notes that this one replaced stand for themselves again, read at the end of the story."""
    freeing = update(StoryNoteRow).where(StoryNoteRow.covered_by == note_id)
    values = {"covered_by": None, "version": StoryNoteRow.version + literal(1), "written_after": last_ordinal}
    session.execute(freeing.values(values), execution_options={"synchronize_session": False})


def _last_ordinal(session: Session, chat_id: str) -> int:
    last = messages.last_message(session, chat_id)
    return last.ordinal if last else -1


def _is_busy(session: Session, chat_id: str) -> bool:
    unfinished = select(Turn.id).where(Turn.chat_id == chat_id, Turn.state.in_(UNFINISHED))
    return session.scalar(unfinished.limit(1)) is not None


def _n_notes(session: Session, chat_id: str) -> int:
    counted = select(func.count()).select_from(StoryNoteRow)
    return session.scalar(counted.where(StoryNoteRow.chat_id == chat_id, StoryNoteRow.deleted_at.is_(None))) or 0
