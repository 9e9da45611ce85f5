"""How a turn ends: `commit`, `cancel` and `fail`, for callers of turns.py.

What it does: the end of the turn, the reply, the engine's window and the new revision are one transaction, behind the
fence: it happens only if the attempt is still the one that counts.
What it refuses to know: who is told (events.py) and what comes next (queue.py).
"""

from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from store import entries
from store.db import Database, rows_changed
from store.entries import Reply, clock
from store.errors import NotFound, Stale
from store.models import RUNNING, Alternative, Chat, Message, Turn
from store.views import CommittedView, committed_view


def held(turn_id: str, attempt: int) -> tuple[ColumnElement[bool], ...]:
    """The fence: the conditions under which `attempt` may still change its turn."""
    return Turn.id == turn_id, Turn.attempt == attempt, Turn.state.in_(RUNNING)


def commit(
    db: Database,
    turn_id: str,
    attempt: int,
    reply: Reply,
    window: dict[str, Any] | None = None,
    now: float | None = None,
) -> CommittedView:
    """The turn is done: write its reply. Doing it twice with the same attempt is Stale the second time.

    A retry of a reply adds an alternative to it and makes that one active; everything else adds a message. `window` is
    kept with the chat when given. Raises Stale.
    """
    now = clock(now)
    with db.session() as session:
        turn = _end(session, turn_id, attempt, "done", now)
        message = _write(session, turn, reply, window, now)
        turn.stats = reply.stats
        return message


def cancel(
    db: Database,
    turn_id: str,
    attempt: int | None = None,
    reply: Reply | None = None,
    window: dict[str, Any] | None = None,
    now: float | None = None,
) -> CommittedView | None:
    """The turn was stopped: what was written so far stays as the reply, if it is more than white space.

    `attempt` is None for a turn that no worker has. Returns the message, None when nothing was written. Raises Stale.
    """
    now = clock(now)
    with db.session() as session:
        if attempt is None:
            turn = session.get(Turn, turn_id, with_for_update=True)
            if turn is None or turn.state not in ("waiting", "queued"):
                raise Stale(turn_id, 0)
        else:
            turn = _end(session, turn_id, attempt, "cancelled", now)
        return end_as_cancelled(session, turn, reply, now, window)


def fail(db: Database, turn_id: str, attempt: int, code: str, text: str, now: float | None = None) -> None:
    """The turn cannot be done: `code` for programs, `text` a sentence for its owner. Raises Stale."""
    with db.session() as session:
        turn = _end(session, turn_id, attempt, "failed", clock(now))
        turn.error_code, turn.error_text = code, text


def reply_to(db: Database, turn_id: str) -> CommittedView | None:
    """The message that an ended turn wrote, if any, with its chat's revision of now. Raises NotFound."""
    with db.reading() as session:
        turn = session.get(Turn, turn_id)
        if turn is None:
            raise NotFound("turn")
        wrote = select(Message.id).join(Alternative, Alternative.message_id == Message.id)
        message_id = session.scalar(wrote.where(Alternative.turn_id == turn_id, Message.id == turn.reply_message_id))
        if message_id is None:
            return None
        chat = session.get_one(Chat, turn.chat_id)
        return committed_view(entries.read_message(session, message_id), chat.revision)


def end_as_cancelled(
    session: Session, turn: Turn, reply: Reply | None, now: float, window: dict[str, Any] | None = None
) -> CommittedView | None:
    """End a turn as cancelled in the caller's transaction, which has made sure that it may."""
    turn.state, turn.ended_at, turn.updated_at, turn.lease_until = "cancelled", now, now, None
    if reply is None or not reply.text.strip():
        return None
    turn.stats = reply.stats
    return _write(session, turn, reply, window, now)


def _end(session: Session, turn_id: str, attempt: int, state: str, now: float) -> Turn:
    ending = update(Turn).where(*held(turn_id, attempt))
    if not rows_changed(session, ending.values(state=state, ended_at=now, updated_at=now, lease_until=None)):
        raise Stale(turn_id, attempt)
    return session.get_one(Turn, turn_id)


def _write(session: Session, turn: Turn, reply: Reply, window: dict[str, Any] | None, now: float) -> CommittedView:
    chat = session.get_one(Chat, turn.chat_id, with_for_update=True)
    if turn.reply_message_id is not None:
        message = session.get_one(Message, turn.reply_message_id)
    else:
        name = reply.name or entries.character_of(session, chat).name
        message = entries.add_message(session, chat, "character", name, turn.id, now)
        turn.reply_message_id = message.id
    message.active = entries.add_alternative(session, message, reply, turn.id, now)
    turn.partial = ""
    if window is not None:
        chat.window = window
    revision = entries.touch(chat, now)
    session.flush()
    return committed_view(entries.read_message(session, message.id), revision)
