"""Upkeep of the search index: messages that are new or have another text are indexed later, in small batches.

What it does: whoever changes what a message shows sets `Message.indexed` to False, and nothing else: a commit does not
wait for the index. `index_some` reads such messages, makes their terms outside of any transaction, and writes them in a
short one, unless the text has changed meanwhile. Databases of older versions are filled in the same way.
What it refuses to know: when it runs (web/server/indexing.py), and who searches.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, delete, false, func, insert, select, update
from sqlalchemy.orm import Session

from store.batches import take
from store.db import Database
from store.models import Alternative, Chat, Message
from store.search import tables
from store.search.terms import MAX_LETTERS, terms_of

BATCH = 100
_PAUSE_S = 0.002
_WAITS = Message.indexed == false()  # `IS 0` would not use the partial index


@dataclass(frozen=True)
class _Entry:
    """What is to be written for one message."""

    message_id: str
    text: str
    places: tuple[str, str]
    words: tuple[str, ...]


def index_some(db: Database, most: int = BATCH) -> bool:
    """Index the oldest messages that wait for it, one batch; whether others may be left. It rests as long as it has
    kept other writers waiting."""
    with db.reading() as session:
        waiting = session.execute(_waiting().order_by(Message.created_at).limit(most)).all()
    batch = list(take(waiting, lambda row: len(row.text or "")))
    if not batch:
        return False
    entries = [_entry(*row) for row in batch]
    with db.session() as session:
        session.connection()
        began = time.monotonic()
        _write(session, entries)
    time.sleep(max(_PAUSE_S, time.monotonic() - began))
    return len(batch) < len(waiting) or len(waiting) == most


def remove(session: Session, message_ids: Sequence[str]) -> None:
    """Take messages that are removed for good out of the index, in the caller's transaction."""
    numbers = _numbers(session, message_ids)
    if numbers:
        tables.delete_words(session, list(numbers.values()))
        session.execute(delete(tables.ENTRIES).where(tables.ENTRIES.c.id.in_(numbers.values())))


def _waiting() -> Select[str, str, str, str]:
    shown = and_(Alternative.message_id == Message.id, Alternative.position == Message.active)
    text = func.substr(Alternative.text, 1, MAX_LETTERS).label("text")
    wanted = select(Message.id, Message.chat_id, Chat.owner_id, text)
    return wanted.join(Chat, Chat.id == Message.chat_id).outerjoin(Alternative, shown).where(_WAITS)


def _entry(message_id: str, chat_id: str, owner_id: str, text: str | None) -> _Entry:
    words = tuple(term.word for term in terms_of(text or ""))
    return _Entry(message_id, text or "", (place_of_owner(owner_id), place_of_chat(chat_id)), words)


def place_of_owner(owner_id: str) -> str:
    """The term that narrows a search down to one person's messages."""
    return f"o{owner_id}"


def place_of_chat(chat_id: str) -> str:
    """The term that narrows a search down to one chat."""
    return f"c{chat_id}"


def _write(session: Session, entries: Sequence[_Entry]) -> None:
    """Write the entries whose messages still wait and still have the text that was read."""
    ids = [entry.message_id for entry in entries]
    now = {row.id: row.text or "" for row in session.execute(_waiting().where(Message.id.in_(ids)))}
    entries = [entry for entry in entries if now.get(entry.message_id) == entry.text]
    numbers = _numbers(session, [entry.message_id for entry in entries])
    if numbers:
        tables.delete_words(session, list(numbers.values()))
    free = tables.newest_number(session)
    new = [entry.message_id for entry in entries if entry.message_id not in numbers]
    added = {message_id: free + n for n, message_id in enumerate(new, start=1)}
    if added:
        session.execute(insert(tables.ENTRIES), [{"id": n, "message_id": one} for one, n in added.items()])
    numbers |= added
    tables.insert_words(session, [(numbers[entry.message_id], entry.places, entry.words) for entry in entries])
    done = update(Message).where(Message.id.in_([entry.message_id for entry in entries])).values(indexed=True)
    session.execute(done, execution_options={"synchronize_session": False})


def _numbers(session: Session, message_ids: Sequence[str]) -> dict[str, int]:
    """The numbers of those messages that are in the index."""
    known = select(tables.ENTRIES.c.message_id, tables.ENTRIES.c.id)
    return {row[0]: row[1] for row in session.execute(known.where(tables.ENTRIES.c.message_id.in_(message_ids)))}
