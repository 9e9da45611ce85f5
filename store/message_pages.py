"""What a page shows of a chat: its newest messages, those before them, and how many the model has lost.

What it does: reads as many messages as are asked for and looks whether there are more, without counting them, so that a
chat of 50,000 messages opens as fast as one of 50. Only what is out of memory is counted, when a page opens and when
that has changed.
What it refuses to know: how messages look, and who asks: callers have made sure that they may.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select

from store import messages
from store.db import Database
from store.models import Message
from store.views import MessageView


@dataclass(frozen=True)
class MessagePage:
    """Some messages of a chat, in order, and whether any come before them."""

    messages: tuple[MessageView, ...]
    more: bool


def newest(db: Database, chat_id: str, n: int) -> MessagePage:
    """The last `n` messages."""
    return _page(db, n, Message.chat_id == chat_id)


def before(db: Database, chat_id: str, ordinal: int, n: int) -> MessagePage:
    """The last `n` of the messages before this ordinal."""
    return _page(db, n, Message.chat_id == chat_id, Message.ordinal < ordinal)


def n_forgotten(db: Database, chat_id: str, ordinal: int) -> int:
    """How many messages before this ordinal are not pinned: when the model's memory begins there, it has lost those."""
    if ordinal <= 0:
        return 0
    before = Message.chat_id == chat_id, Message.ordinal < ordinal
    lost = select(func.count()).where(*before, Message.pinned.is_(False), Message.deleted_at.is_(None))
    with db.reading() as session:
        return session.scalar(lost) or 0


def _page(db: Database, n: int, *wanted: ColumnElement[bool]) -> MessagePage:
    there = (*wanted, Message.deleted_at.is_(None))
    newest_first = select(*messages.MESSAGE).where(*there).order_by(Message.ordinal.desc())
    with db.reading() as session:
        rows = session.execute(newest_first.limit(n + 1)).all()
        return MessagePage(messages.views_of(session, rows[:n][::-1]), len(rows) > n)
