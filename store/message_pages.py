"""Pagination of a chat (by ordinal, keyset style): the newest messages, those before, and how many are forgotten.

What it does: reads as many messages as asked for and one more to know whether there are others, without counting them,
so that a chat of 50,000 messages opens as fast as one of 50. Only forgotten messages are counted, when a page opens and
when the window has moved.
What it refuses to know: how messages look, and permissions: callers check the owner.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select

from store import messages
from store.db import Database
from store.models import Message
from store.views import MessageView

MAX_ORDINAL = 2**31 - 1  # of the column; databases refuse larger numbers


@dataclass(frozen=True)
class MessagePage:
    """Some messages of a chat, in order, and whether any come before them."""

    messages: tuple[MessageView, ...]
    more: bool


def newest(db: Database, chat_id: str, n: int) -> MessagePage:
    """The last `n` messages."""
    return _page(db, n, Message.chat_id == chat_id)


def before(db: Database, chat_id: str, ordinal: int, n: int) -> MessagePage:
    """The last `n` of the messages before this ordinal, whatever number it is."""
    return _page(db, n, Message.chat_id == chat_id, Message.ordinal < max(0, min(ordinal, MAX_ORDINAL)))


def after(db: Database, chat_id: str, ordinal: int, n: int) -> MessagePage:
    """The first `n` of the messages after this ordinal; `more`: whether others come after them."""
    conditions = Message.chat_id == chat_id, Message.ordinal > max(-1, min(ordinal, MAX_ORDINAL))
    oldest_first = select(*messages.MESSAGE).where(*conditions, Message.deleted_at.is_(None)).order_by(Message.ordinal)
    with db.reading() as session:
        rows = session.execute(oldest_first.limit(n + 1)).all()
        return MessagePage(messages.views_of(session, rows[:n]), len(rows) > n)


def around(db: Database, chat_id: str, ordinal: int, n: int) -> tuple[MessagePage, MessagePage]:
    """Half of `n` messages before this ordinal, and as many from it on."""
    return before(db, chat_id, ordinal, n // 2), after(db, chat_id, ordinal - 1, n - n // 2)


def n_forgotten(db: Database, chat_id: str, ordinal: int) -> int:
    """How many messages the model has forgotten if its memory begins at this ordinal: those before, not pinned."""
    if ordinal <= 0:
        return 0
    before = Message.chat_id == chat_id, Message.ordinal < ordinal
    forgotten = select(func.count()).where(*before, Message.pinned.is_(False), Message.deleted_at.is_(None))
    with db.reading() as session:
        return session.scalar(forgotten) or 0


def _page(db: Database, n: int, *wanted: ColumnElement[bool]) -> MessagePage:
    conditions = (*wanted, Message.deleted_at.is_(None))
    newest_first = select(*messages.MESSAGE).where(*conditions).order_by(Message.ordinal.desc())
    with db.reading() as session:
        rows = session.execute(newest_first.limit(n + 1)).all()
        return MessagePage(messages.views_of(session, rows[:n][::-1]), len(rows) > n)
