"""Lorebook table: the stand-alone lorebooks of a person, and which of them a chat uses (`books`, `chats.lore`).

What it does: every function is one transaction; a book can be used by its owner only. A book is stored as its file
came, and changes are made in that file (edit.py). The book of a character is in its card: `change_own_book`. What it
refuses to know: what the entries say, and when they are activated (match.py).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store import quotas, texts
from store.db import Database
from store.errors import NotFound, Refused
from store.lore.book import read_book
from store.messages import clock, new_id, own_chat
from store.models import Character, Chat, LorebookRow, User
from store.views import LorebookView, book_view
from store.visibility import visible

MAX_NAME = 80
MAX_BOOKS_OF_A_CHAT = 8


def list_books(db: Database, owner_id: str) -> tuple[LorebookView, ...]:
    """A person's books, by name."""
    with db.reading() as session:
        rows = session.scalars(
            select(LorebookRow).where(LorebookRow.owner_id == owner_id).order_by(LorebookRow.name, LorebookRow.id)
        )
        return tuple(map(book_view, rows))


def list_names(db: Database, owner_id: str) -> tuple[tuple[str, str], ...]:
    """Id and name of a person's books, by name."""
    with db.reading() as session:
        rows = session.execute(
            select(LorebookRow.id, LorebookRow.name)
            .where(LorebookRow.owner_id == owner_id)
            .order_by(LorebookRow.name, LorebookRow.id)
        )
        return tuple((book_id, name) for book_id, name in rows)


def get_book(db: Database, owner_id: str, book_id: str) -> LorebookView:
    """One book of this person. Raises NotFound, also for another person's."""
    with db.reading() as session:
        return book_view(_own_book(session, owner_id, book_id))


def add_book(
    db: Database, owner_id: str, data: Mapping[str, Any], name: str = "", now: float | None = None
) -> LorebookView:
    """Save a new book. Its name is the given one, or the one in the file. Raises NotFound, Refused "bad_book_name",
    "quota"."""
    shown, n_bytes = clean_name(name) or clean_name(read_book(data).name), _n_bytes(data)
    known = _sizes(db, owner_id, LorebookRow)
    with db.session() as session:
        if session.get(User, owner_id) is None:
            raise NotFound("person")
        if not shown:
            raise Refused("bad_book_name")
        quotas.refuse_another(session, owner_id, LorebookRow)
        quotas.refuse_larger(session, owner_id, LorebookRow, n_bytes, known)
        row = LorebookRow(id=new_id(), owner_id=owner_id, name=shown, data=dict(data), created_at=clock(now))
        session.add(row)
        session.flush()
        return book_view(row)


def change_book(
    db: Database, owner_id: str, book_id: str, data: Mapping[str, Any] | None = None, name: str | None = None
) -> LorebookView:
    """Another name, or a file with a change in it. Raises NotFound, Refused "bad_book_name", "quota"."""
    n_bytes = _n_bytes(data) if data is not None else 0
    known = _sizes(db, owner_id, LorebookRow) if data is not None else {}
    with db.session() as session:
        row = _own_book(session, owner_id, book_id)
        if name is not None:
            row.name = clean_name(name)
        if not row.name:
            raise Refused("bad_book_name")
        if data is not None:
            quotas.refuse_larger(session, owner_id, LorebookRow, n_bytes, known, book_id)
            row.data = dict(data)
        session.flush()
        return book_view(row)


def delete_book(db: Database, owner_id: str, book_id: str) -> None:
    """Take a book away; chats that use it go on without it. Raises NotFound."""
    with db.session() as session:
        session.delete(_own_book(session, owner_id, book_id))


def change_own_book(db: Database, owner_id: str, character_id: str, data: Mapping[str, Any]) -> None:
    """Another lorebook in the card of a character that this person made. Raises NotFound, Refused "quota"."""
    n_bytes = _n_bytes(data)
    known = _sizes(db, owner_id, Character)
    with db.session() as session:
        character = session.get(Character, character_id)
        owner = session.get(User, owner_id)
        if character is None or owner is None or character.owner_id != owner_id or not visible(character, owner):
            raise NotFound("character")
        quotas.refuse_larger(session, owner_id, Character, n_bytes, known, character_id)
        character.card = {**character.card, "character_book": dict(data)}


def attach(db: Database, owner_id: str, chat_id: str, book_ids: Sequence[str]) -> None:
    """The books that a chat uses beside its character's own, in this order; it counts from the next turn on.

    Raises NotFound (the chat or a book), Refused "too_many_books".
    """
    wanted = tuple(dict.fromkeys(book_ids))
    if len(wanted) > MAX_BOOKS_OF_A_CHAT:
        raise Refused("too_many_books")
    with db.session() as session:
        chat = own_chat(session, owner_id, chat_id)
        for book_id in wanted:
            _own_book(session, owner_id, book_id)
        chat.lore = {**chat.lore, "books": list(wanted)}


def books_of(session: Session, chat: Chat) -> tuple[LorebookView, ...]:
    """The books that a chat uses, in its order, in the caller's transaction; those that are gone are left out."""
    ids = [str(book_id) for book_id in chat.lore.get("books", ())]
    own = LorebookRow.owner_id == chat.owner_id, LorebookRow.id.in_(ids)
    rows = {row.id: row for row in session.scalars(select(LorebookRow).where(*own))} if ids else {}
    return tuple(book_view(rows[book_id]) for book_id in ids if book_id in rows)


def _sizes(db: Database, owner_id: str, table: type[Character | LorebookRow]) -> Mapping[str, int]:
    """Read before the transaction that writes."""
    with db.reading() as session:
        return quotas.json_sizes(session, owner_id, table)


def _n_bytes(data: Mapping[str, Any]) -> int:
    return len(json.dumps(data))


def clean_name(name: str) -> str:
    """A name on one line, cut where it is too long."""
    return " ".join(texts.clean(name).split())[:MAX_NAME].strip()


def _own_book(session: Session, owner_id: str, book_id: str) -> LorebookRow:
    row = session.get(LorebookRow, book_id)
    if row is None or row.owner_id != owner_id:
        raise NotFound("lorebook")
    return row
