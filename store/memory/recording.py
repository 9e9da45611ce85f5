"""Story notes as a worker keeps them: which stories are quiet enough for one, and the note together with the window
that lies behind its messages (compare-and-set on the chat's revision).

What it refuses to know: prompts and tokens (worker/prompt/memory.py), what people do with notes (notes.py).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, func, select, update
from sqlalchemy.orm import Session

from store.db import Database
from store.memory import notes, switches
from store.memory.tables import StoryNoteRow
from store.messages import clock, new_id
from store.models import UNFINISHED, Alternative, Chat, Message, Turn
from store.views import StoryNote, note_view, pack_tokens

QUIET_S = 3.0
_IDS_PER_QUERY = 250
_SHORTEST_PART = 40  # letters of a message


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


def record_note(
    db: Database, chat_id: str, revision: int, window: dict[str, Any], new: NewNote, now: float | None = None
) -> StoryNote | None:
    """Keep what a worker wrote, and the window behind its messages (compare-and-set on the revision).

    None, and no change, when the chat has moved on, a turn has begun, another worker was faster, or the note that was
    to be replaced is not stale any more. The revision stays: nothing that a tab shows has changed but the memory.
    """
    with db.session() as session:
        chat = session.get(Chat, chat_id, with_for_update=True)
        if chat is None or chat.deleted_at is not None or chat.revision != revision or _is_busy(session, chat_id):
            return None
        if not new.replaces and not _is_due(session, chat, new):
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


def quiet_chats(db: Database, chat_ids: Collection[str], worker: str, now: float) -> list[tuple[str, int]]:
    """Those of these chats (id, revision) in which nobody has just written and no turn is under way, the one used last
    first; none that another worker wrote in last, and none whose owner wants no notes."""
    ids, rows = sorted(chat_ids), list[Row[Any]]()
    last = select(Turn.worker).where(Turn.chat_id == Chat.id).order_by(Turn.created_at.desc(), Turn.id).limit(1)
    by = func.coalesce(last.scalar_subquery(), worker)
    busy = select(Turn.id).where(Turn.chat_id == Chat.id, Turn.state.in_(UNFINISHED)).exists()
    quiet = select(Chat.updated_at, Chat.id, Chat.revision, Chat.memory)
    quiet = quiet.where(Chat.deleted_at.is_(None), Chat.updated_at < now - QUIET_S, ~busy, by == worker)
    with db.reading() as session:
        for start in range(0, len(ids), _IDS_PER_QUERY):
            rows += session.execute(quiet.where(Chat.id.in_(ids[start : start + _IDS_PER_QUERY]))).all()
    rows.sort(key=lambda row: row.updated_at, reverse=True)
    return [(row.id, row.revision) for row in rows if switches.is_on(row.memory, switches.NOTES)]


def told_in(db: Database, chat_id: str, first: int, last: int, letters: int) -> str:
    """What the messages from one ordinal to another show, as a script of at most `letters`: of many the beginning of
    each."""
    with db.reading() as session:
        among = Message.chat_id == chat_id, Message.ordinal.between(first, last), Message.deleted_at.is_(None)
        n_messages = session.scalar(select(func.count()).select_from(Message).where(*among)) or 1
        each = max(_SHORTEST_PART, letters // n_messages)
        shown = and_(Alternative.message_id == Message.id, Alternative.position == Message.active)
        told = select(Message.name, func.substr(Alternative.text, 1, each)).join(Alternative, shown).where(*among)
        rows = session.execute(told.order_by(Message.ordinal).limit(letters // _SHORTEST_PART + 1))
        return "\n".join(f"{name}: {said}"[:each] for name, said in rows)[:letters]


def _added(session: Session, chat_id: str, new: NewNote, now: float) -> StoryNoteRow:
    _make_room(session, chat_id, now)
    note = StoryNoteRow(
        id=new.id or new_id(),
        chat_id=chat_id,
        first_ordinal=new.first_ordinal,
        last_ordinal=new.last_ordinal,
        written_after=new.written_after,
        level=2 if new.covers else 1,
        text=new.text[: notes.MAX_LETTERS],
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
    n_over = notes.count(session, chat_id) - notes.MAX_NOTES + 1
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
    note.text, note.tokens, note.model_key = new.text[: notes.MAX_LETTERS], pack_tokens(new.tokens), new.model_key
    note.state, note.version, note.written_after = "fresh", note.version + 1, new.written_after
    return note


def _is_due(session: Session, chat: Chat, new: NewNote) -> bool:
    """Whether no other note has been written for the same."""
    if not new.covers:
        return int(chat.window.get("messages", 0)) <= new.first_ordinal
    row = StoryNoteRow
    counted = select(func.count()).where(row.chat_id == chat.id, row.id.in_(new.covers))
    return session.scalar(counted.where(row.deleted_at.is_(None), row.covered_by.is_(None))) == len(new.covers)


def _is_busy(session: Session, chat_id: str) -> bool:
    unfinished = select(Turn.id).where(Turn.chat_id == chat_id, Turn.state.in_(UNFINISHED))
    return session.scalar(unfinished.limit(1)) is not None
