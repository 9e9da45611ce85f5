"""The messages of a chat that a turn reads: those inside the context window and the pinned ones.

What it does: reads them, the newest where there are many, so that a turn costs the same after a year; of older messages
it reads only what names their segments. A window that begins after the last message (much was deleted) is ignored: the
memory is chosen again from the end.
What it refuses to know: tokens, and what a window holds beside the number of its first message
(worker/prompt/window.py).
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from store import messages
from store.models import Alternative, Chat, Message
from store.views import MessageView, OlderMessage

MAX_MESSAGES = 4_000  # more messages than any context holds
MAX_OLDER = 500
MIN_OLDER = 100  # else twice those inside: a worker that was away may hold segments of these and must know their names
MIN_BRANCH_MESSAGES = 4  # with fewer inside its window, a branch chooses its memory again


def window_of(session: Session, chat: Chat) -> dict[str, Any]:
    """The valid window of a chat."""
    if not first_ordinal(chat.window):
        return dict(chat.window)
    last = messages.last_message(session, chat.id)
    lies_behind = last is not None and last.ordinal < first_ordinal(chat.window)
    return {**chat.window, "messages": 0} if lies_behind else dict(chat.window)


def in_window(session: Session, chat: Chat, window: dict[str, Any]) -> tuple[MessageView, ...]:
    """The messages inside the window, and the pinned ones, in order."""
    in_chat = select(*messages.MESSAGE).where(Message.chat_id == chat.id)
    newest_first = in_chat.order_by(Message.ordinal.desc()).limit(MAX_MESSAGES)
    rows = [row for condition in conditions(window) for row in session.execute(newest_first.where(condition))][
        :MAX_MESSAGES
    ]
    return messages.views_of(session, rows[::-1])


def conditions(window: dict[str, Any]) -> Iterator[ColumnElement[bool]]:
    """SQL conditions for these messages, the newest first: one condition for both would read the whole chat.

    Which pinned ones are deleted is asked in a form that only the index of pinned messages answers: SQLite would take
    the one of all messages that are shown, and read the whole chat as well.
    """
    begins = first_ordinal(window)
    yield and_(Message.ordinal >= begins, Message.deleted_at.is_(None))
    if begins:
        yield and_(Message.pinned, Message.ordinal < begins, func.coalesce(Message.deleted_at, 0) == 0)


def older(session: Session, chat: Chat, window: dict[str, Any], n_inside: int) -> tuple[OlderMessage, ...]:
    """The messages before the window, by the names of their segments: a worker that was away may still hold some."""
    if not first_ordinal(window):
        return ()
    active = and_(Alternative.message_id == Message.id, Alternative.position == Message.active)
    before = (Message.chat_id == chat.id, Message.deleted_at.is_(None), Message.ordinal < first_ordinal(window))
    columns = select(Message.id, Message.role, Alternative.turn_id, Alternative.position).join(Alternative, active)
    newest_first = columns.where(*before, Message.pinned.is_(False)).order_by(Message.ordinal.desc())
    rows = session.execute(newest_first.limit(min(MAX_OLDER, max(MIN_OLDER, 2 * n_inside))))
    return tuple(OlderMessage(*row) for row in rows)


def first_ordinal(window: dict[str, Any]) -> int:
    """The ordinal of the first message inside a window."""
    return int(window.get("messages", 0))


def branch_window(window: dict[str, Any], last_ordinal: int) -> dict[str, Any]:
    """The window of a branch that ends at this message."""
    return dict(window) if last_ordinal - first_ordinal(window) >= MIN_BRANCH_MESSAGES else {}
