"""Removal (garbage collection): the rows of deleted stories, of deleted accounts and of interrupted copies.

What it does: everything in batches (batches.py), so that nobody waits for it, and from the start again wherever it was
interrupted. A deleted story keeps an empty row and its turns as numbers: daily minutes and usage stay right. Of a
deleted account nothing stays.
What it refuses to know: who deleted what (chats.py, accounts.py), and when it is called (web/server/maintenance.py).
To add a table of people: a line in `_OWN`, or in `_forget_sharing` where it names two of them; one that points at
messages: before their removal in `_remove_some`.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from store import quotas, search
from store.batches import ROWS, in_batches, take
from store.db import Database
from store.messages import clock
from store.models import (
    Alternative,
    Character,
    Chat,
    EndedSession,
    Invite,
    LorebookRow,
    Message,
    Persona,
    Picture,
    PresetRow,
    Share,
    StoryNoteRow,
    Turn,
    User,
    Wish,
)
from store.quotas import GENEROUS, Quota
from store.sharing import keepsakes
from store.shelf.tables import ModelChoice, ModelFile

BUILDING = 0.0
"""`deleted_at` of a chat that is still being written in batches: all readers take it for deleted."""
KEEP_S = 30 * 86_400.0
INTERRUPTED_AFTER_S = 600.0  # a chat that is being written is touched with every batch
_MESSAGES_AT_ONCE, _LARGE_ROWS_AT_ONCE = 400, 8
_OWN: tuple[tuple[Any, int], ...] = (
    (Turn, ROWS),
    (Chat, ROWS),
    (EndedSession, ROWS),
    *((table, _LARGE_ROWS_AT_ONCE) for table in (Character, Persona, Picture, LorebookRow, PresetRow)),
)
"""The tables of what a person has, in the order of their removal, and how many rows one transaction removes."""
_UNSEEN = {"synchronize_session": False}
_FULL = 0.9


def remove_deleted(
    db: Database, keep_s: float = KEEP_S, quota: Quota = GENEROUS, now: float | None = None
) -> tuple[str, ...]:
    """Remove what is due: accounts at once, stories `keep_s` after they were deleted, or at once where their owner has
    nearly used up the quota; what an interrupted copy left. Returns the ids of the chats and accounts."""
    now = clock(now)
    with db.reading() as session:
        accounts = tuple(session.scalars(select(User.id).where(User.deleted_at.is_not(None))))
        chats = tuple(session.scalars(_due(keep_s, quota, now)))
    for user_id in accounts:
        remove_account(db, user_id)
    for chat_id in chats:
        remove_chat(db, chat_id)
    return chats + accounts


def remove_chat(db: Database, chat_id: str) -> None:
    """Remove the texts of a chat that nobody sees any more."""
    _remove_messages(db, chat_id)
    _remove_notes(db, chat_id)
    with db.reading() as session:
        turns = list(session.scalars(select(Turn.id).where(Turn.chat_id == chat_id)))
    in_batches(db, lambda session: _blank_some(session, turns))
    with db.session() as session:
        chat = session.get(Chat, chat_id)
        if chat is None:
            return
        if chat.deleted_at == BUILDING:
            session.delete(chat)
            return
        chat.title = chat.user_name = chat.user_persona = chat.author_note = chat.reference = ""
        chat.settings, chat.window, chat.lore, chat.extras, chat.introduced = {}, {}, {}, {}, {}
        chat.memory = {}


def remove_account(db: Database, user_id: str) -> None:
    """Remove an account that is marked as deleted, with everything that it has."""
    with db.reading() as session:
        chats = tuple(session.scalars(select(Chat.id).where(Chat.owner_id == user_id)))
    keepsakes.keep_all(db, user_id)
    for chat_id in chats:
        _remove_messages(db, chat_id)
        _remove_notes(db, chat_id)
    with db.session() as session:
        _forget_sharing(session, user_id)
    in_batches(db, lambda session: any(_remove_rows(session, user_id)))
    with db.session() as session:
        session.execute(update(Invite).where(Invite.created_by == user_id).values(created_by=None))
        session.execute(delete(Invite).where(Invite.used_by == user_id))
        session.execute(update(ModelFile).where(ModelFile.added_by == user_id).values(added_by=""))
        session.execute(update(ModelChoice).where(ModelChoice.chosen_by == user_id).values(chosen_by=""))
        session.execute(delete(User).where(User.id == user_id))


def _forget_sharing(session: Session, user_id: str) -> None:
    """Remove what a person shared, got and asked for; what others asked for stays theirs."""
    session.execute(delete(Share).where(or_(Share.owner_id == user_id, Share.person_id == user_id)))
    session.execute(delete(Wish).where(Wish.owner_id == user_id))
    session.execute(update(Wish).where(Wish.answered_by == user_id).values(answered_by=None))
    theirs = select(Character.id).where(Character.owner_id == user_id)
    session.execute(update(Wish).where(Wish.character_id.in_(theirs)).values(character_id=None))


def _due(keep_s: float, quota: Quota, now: float) -> Select[str]:
    full = []
    if quota.messages:
        full.append(User.stored_messages > _FULL * quota.messages)
    if quota.megabytes:
        full.append(User.stored_bytes > _FULL * (quota.megabytes << 20))
    deleted = and_(Chat.deleted_at.is_not(None), Chat.title != "")
    building = and_(Chat.deleted_at == BUILDING, Chat.updated_at < now - INTERRUPTED_AFTER_S)
    old = and_(Chat.deleted_at != BUILDING, or_(Chat.deleted_at <= now - keep_s, *full))
    return select(Chat.id).join(User, User.id == Chat.owner_id).where(deleted, or_(building, old))


def _remove_messages(db: Database, chat_id: str) -> None:
    in_batches(db, lambda session: _remove_some(session, chat_id))


def _remove_notes(db: Database, chat_id: str) -> None:
    with db.session() as session:
        session.execute(delete(StoryNoteRow).where(StoryNoteRow.chat_id == chat_id))


def _remove_some(session: Session, chat_id: str) -> bool:
    """Remove some messages of a chat from its beginning; whether any may be left."""
    first = select(Message.id, quotas.json_bytes(session, Message.extras)).where(Message.chat_id == chat_id)
    rows = session.execute(first.order_by(Message.ordinal).limit(_MESSAGES_AT_ONCE)).all()
    if not rows:
        return False
    ids = [row[0] for row in rows]
    wanted = select(Alternative.id, quotas.alternative_bytes(session)).where(Alternative.message_id.in_(ids))
    found = session.execute(wanted.limit(ROWS)).all()
    alternatives = list(take(found, lambda row: int(row[1])))
    session.execute(delete(Alternative).where(Alternative.id.in_([row[0] for row in alternatives])))
    n_bytes, n_messages = sum(int(row[1]) for row in alternatives), 0
    if len(alternatives) == len(found) < ROWS:
        for column in (Turn.user_message_id, Turn.reply_message_id):
            session.execute(update(Turn).where(column.in_(ids)).values({column: None}), execution_options=_UNSEEN)
        search.remove(session, ids)
        session.execute(delete(Message).where(Message.id.in_(ids)), execution_options=_UNSEEN)
        n_bytes, n_messages = n_bytes + sum(int(row[1]) for row in rows), len(rows)
    owner_id = session.scalars(select(Chat.owner_id).where(Chat.id == chat_id)).one()
    quotas.add(session, owner_id, messages=-n_messages, n_bytes=-n_bytes)
    return True


def _blank_some(session: Session, turn_ids: list[str]) -> bool:
    """Remove the texts of some turns; takes their ids out of the list. Whether any are left."""
    some, turn_ids[:ROWS] = turn_ids[:ROWS], []
    texts: dict[str, Any] = {"partial": "", "params": {}, "result": {}, "error_text": None}
    session.execute(update(Turn).where(Turn.id.in_(some)).values(texts), execution_options=_UNSEEN)
    return bool(turn_ids)


def _remove_rows(session: Session, user_id: str) -> Iterator[bool]:
    """Remove turns, then chats, then the rest: whether something of the first kind that is left was removed."""
    for table, most in _OWN:
        some = session.scalars(select(table.id).where(table.owner_id == user_id).limit(most)).all()
        if some:
            session.execute(delete(table).where(table.id.in_(some)), execution_options=_UNSEEN)
            yield True
