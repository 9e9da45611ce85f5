"""Lorebook table: the stand-alone lorebooks of a person, and which of them a chat uses (`books`, `chats.lore`).

What it does: every function is one transaction; a book can be used by its owner and by those with whom it is shared,
and changed by its owner only. A book is stored as its file came, and changes are made in that file (edit.py). The book
of a character is in its card: `change_own_book`. What it refuses to know: with whom a book is shared (sharing/), what
the entries say, and when they are activated (match.py).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import false, or_, select
from sqlalchemy.orm import Session

from store import quotas, texts
from store.db import Database
from store.errors import NotFound, Refused
from store.lore.book import read_book
from store.messages import clock, new_id, own_chat
from store.models import Character, Chat, LorebookRow, User
from store.sharing import keepsakes, shares
from store.views import LorebookView, UserView, book_view
from store.visibility import PRIVATE, allowed_ratings, may_see, visible

MAX_NAME = 80
MAX_BOOKS_OF_A_CHAT = 8


def list_books(db: Database, owner_id: str) -> tuple[LorebookView, ...]:
    """A person's books that are for their age, by name."""
    with db.reading() as session:
        role = session.scalar(select(User.role).where(User.id == owner_id))
        own = LorebookRow.owner_id == owner_id, LorebookRow.deleted_at.is_(None)
        shown = select(LorebookRow).where(*own, LorebookRow.rating.in_(allowed_ratings(role) if role else ()))
        return tuple(map(book_view, session.scalars(shown.order_by(LorebookRow.name, LorebookRow.id))))


def list_shared(db: Database, user: UserView) -> tuple[tuple[str, str, str], ...]:
    """Id, name and owner's id of the books that others share with this person, by name."""
    others = may_see(LorebookRow, user), LorebookRow.owner_id != user.id
    wanted = select(LorebookRow.id, LorebookRow.name, LorebookRow.owner_id).where(*others)
    with db.reading() as session:
        rows = session.execute(wanted.order_by(LorebookRow.name, LorebookRow.id))
        return tuple((book_id, name, owner_id) for book_id, name, owner_id in rows)


def list_names(db: Database, user: UserView, chat_id: str | None = None) -> tuple[tuple[str, str], ...]:
    """Id and name of the books that this person may use, by name; with those that the story `chat_id` uses."""
    with db.reading() as session:
        chat = own_chat(session, user.id, chat_id, lock=False) if chat_id else None
        used = LorebookRow.id.in_(_ids_of(chat)) if chat else false()
        usable = select(LorebookRow.id, LorebookRow.name).where(or_(may_see(LorebookRow, user), used))
        rows = session.execute(usable.order_by(LorebookRow.name, LorebookRow.id))
        return tuple((book_id, name) for book_id, name in rows)


def see_book(db: Database, user: UserView, book_id: str) -> LorebookView:
    """One book that this person may see, also another person's. Raises NotFound."""
    with db.reading() as session:
        row = session.get(LorebookRow, book_id)
        if row is None or not visible(session, row, user):
            raise NotFound("lorebook")
        return book_view(row)


def get_book(db: Database, owner_id: str, book_id: str) -> LorebookView:
    """One book of this person. Raises NotFound, also for another person's."""
    with db.reading() as session:
        return book_view(_own_book(session, owner_id, book_id))


def add_book(
    db: Database,
    owner_id: str,
    data: Mapping[str, Any],
    name: str = "",
    now: float | None = None,
    rating: str = "everyone",
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
        row = LorebookRow(
            id=new_id(), owner_id=owner_id, name=shown, data=dict(data), rating=rating, created_at=clock(now)
        )
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
        if data is not None and row.shared != PRIVATE:
            shares.refuse_too_many(session, owner_id, LorebookRow, {**known, row.id: n_bytes})
        return book_view(row)


def delete_book(db: Database, owner_id: str, book_id: str) -> None:
    """Take a book away; the person's chats that use it go on without it, in others' it stays. Raises NotFound."""
    with db.session() as session:
        shares.withdraw(session, _own_book(session, owner_id, book_id))
    keepsakes.keep(db, LorebookRow, book_id)
    with db.session() as session:
        session.delete(_own_book(session, owner_id, book_id))


def change_own_book(db: Database, owner_id: str, character_id: str, data: Mapping[str, Any]) -> None:
    """Another lorebook in the card of a character that this person made. Raises NotFound, Refused "quota"."""
    n_bytes = _n_bytes(data)
    known = _sizes(db, owner_id, Character)
    with db.session() as session:
        character = session.get(Character, character_id)
        owner = session.get(User, owner_id)
        if (
            character is None
            or owner is None
            or character.owner_id != owner_id
            or not visible(session, character, owner)
        ):
            raise NotFound("character")
        quotas.refuse_larger(session, owner_id, Character, n_bytes, known, character_id)
        character.card = {**character.card, "character_book": dict(data)}
        if character.shared != PRIVATE:
            shares.refuse_too_many(session, owner_id, Character, {**known, character_id: n_bytes})


def attach(db: Database, owner_id: str, chat_id: str, book_ids: Sequence[str]) -> None:
    """The books that a chat uses beside its character's own, in this order; it counts from the next turn on.

    Raises NotFound (the chat or a book), Refused "too_many_books".
    """
    wanted = tuple(dict.fromkeys(book_ids))
    if len(wanted) > MAX_BOOKS_OF_A_CHAT:
        raise Refused("too_many_books")
    with db.session() as session:
        chat = own_chat(session, owner_id, chat_id)
        owner = session.get_one(User, owner_id)
        for book_id in wanted:
            row = session.get(LorebookRow, book_id)
            if row is None or not (visible(session, row, owner) or book_id in _ids_of(chat)):
                raise NotFound("lorebook")
        chat.lore = {**chat.lore, "books": list(wanted)}


def books_of(session: Session, chat: Chat) -> tuple[LorebookView, ...]:
    """The books that a chat uses, in its order, in the caller's transaction; those that are gone, or not for the age of
    its owner now, are left out. `attach` has checked who may use them."""
    ids = _ids_of(chat)
    if not ids:
        return ()
    role = session.scalars(select(User.role).where(User.id == chat.owner_id)).one()
    usable = LorebookRow.id.in_(ids), LorebookRow.rating.in_(allowed_ratings(role))
    rows = {row.id: row for row in session.scalars(select(LorebookRow).where(*usable))}
    return tuple(book_view(rows[book_id]) for book_id in ids if book_id in rows)


def _ids_of(chat: Chat) -> list[str]:
    return [str(book_id) for book_id in chat.lore.get("books", ())]


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
    row: LorebookRow = shares.own_thing(session, owner_id, LorebookRow, book_id)
    return row
