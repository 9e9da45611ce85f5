"""What of a chat a worker has to see: the messages inside its window and the pinned ones; of those before, the names.

What it does: reads them, the newest where there are many: a turn costs the same after a year. A window that lies
behind the last message (much was deleted) is put aside: the memory is chosen anew from the end.
What it refuses to know: tokens, and what a window holds beside the number of its first message
(worker/prompt/window.py).
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from store import messages
from store.models import Alternative, Chat, Message
from store.views import MessageView, OlderMessage

MAX_MESSAGES = 4_000  # more messages than any context holds
MAX_OLDER = 500  # of those before, at most
MIN_OLDER = 100  # else twice as many as there are inside: who was away holds a context, and reads what it cannot name
MIN_BRANCH_MESSAGES = 4  # with fewer of them inside its window, a branch chooses its memory anew


def window_of(session: Session, chat: Chat) -> dict[str, Any]:
    """The window that counts."""
    if not first_ordinal(chat.window):
        return dict(chat.window)
    last = messages.last_message(session, chat.id)
    lies_behind = last is not None and last.ordinal < first_ordinal(chat.window)
    return {**chat.window, "messages": 0} if lies_behind else dict(chat.window)


def in_window(session: Session, chat: Chat, window: dict[str, Any]) -> tuple[MessageView, ...]:
    """Those inside the window, and the pinned ones, in order."""
    there = select(*messages.MESSAGE).where(Message.chat_id == chat.id, Message.deleted_at.is_(None))
    newest_first = there.order_by(Message.ordinal.desc()).limit(MAX_MESSAGES)
    rows = [row for place in conditions(window) for row in session.execute(newest_first.where(place))][:MAX_MESSAGES]
    return messages.views_of(session, rows[::-1])


def conditions(window: dict[str, Any]) -> Iterator[ColumnElement[bool]]:
    """Where a worker finds what it has to see, the newest first: one condition for both would read the whole chat."""
    begins = first_ordinal(window)
    yield Message.ordinal >= begins
    if begins:
        yield and_(Message.pinned, Message.ordinal < begins)


def older(session: Session, chat: Chat, window: dict[str, Any], n_inside: int) -> tuple[OlderMessage, ...]:
    """The others, by what their segments are called: a worker that was away may still hold some of them."""
    if not first_ordinal(window):
        return ()
    active = and_(Alternative.message_id == Message.id, Alternative.position == Message.active)
    before = (Message.chat_id == chat.id, Message.deleted_at.is_(None), Message.ordinal < first_ordinal(window))
    columns = select(Message.id, Message.role, Alternative.turn_id, Alternative.position).join(Alternative, active)
    newest_first = columns.where(*before, Message.pinned.is_(False)).order_by(Message.ordinal.desc())
    rows = session.execute(newest_first.limit(min(MAX_OLDER, max(MIN_OLDER, 2 * n_inside))))
    return tuple(OlderMessage(*row) for row in rows)


def first_ordinal(window: dict[str, Any]) -> int:
    """Where the memory of a chat begins."""
    return int(window.get("messages", 0))


def of_a_branch(window: dict[str, Any], last_ordinal: int) -> dict[str, Any]:
    """The window of a copy that ends at this message."""
    return dict(window) if last_ordinal - first_ordinal(window) >= MIN_BRANCH_MESSAGES else {}
