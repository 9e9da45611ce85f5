"""What a page shows of a chat: its newest messages, those before them, and how many there are beside.

What it does: reads as many messages as are asked for and counts the others, so that a chat of 50,000 messages opens as
fast as one of 50. What it refuses to know: how messages look, and who asks: callers have made sure that they may.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from store import entries
from store.db import Database
from store.models import Message
from store.views import MessageView


@dataclass(frozen=True)
class Page:
    """Some messages of a chat, in order, and how many come before them."""

    messages: tuple[MessageView, ...]
    n_earlier: int


def newest(db: Database, chat_id: str, n: int) -> Page:
    """The last `n` messages."""
    return _page(db, n, Message.chat_id == chat_id)


def before(db: Database, chat_id: str, ordinal: int, n: int) -> Page:
    """The last `n` of the messages before this ordinal."""
    return _page(db, n, Message.chat_id == chat_id, Message.ordinal < ordinal)


def n_forgotten(db: Database, chat_id: str, ordinal: int) -> int:
    """How many messages before this ordinal are not pinned: when the model's memory begins there, it has lost those."""
    if ordinal <= 0:
        return 0
    with db.reading() as session:
        return _count(session, Message.chat_id == chat_id, Message.ordinal < ordinal, Message.pinned.is_(False))


def _page(db: Database, n: int, *wanted: ColumnElement[bool]) -> Page:
    there = (*wanted, Message.deleted_at.is_(None))
    with db.reading() as session:
        rows = session.scalars(select(Message).where(*there).order_by(Message.ordinal.desc()).limit(n)).all()
        messages = entries.views_of(session, rows[::-1])
        return Page(messages, _count(session, *wanted) - len(messages))


def _count(session: Session, *wanted: ColumnElement[bool]) -> int:
    counted = select(func.count()).select_from(Message).where(*wanted, Message.deleted_at.is_(None))
    return session.scalar(counted) or 0
