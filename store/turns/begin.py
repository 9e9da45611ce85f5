"""How a turn begins: `submit`, for callers of lifecycle.py.

What it does: one transaction that checks everything, writes the person's message and the turn: waiting, or queued at
once for the worker that the caller names, when it is its owner's only one.
What it refuses to know: what happens to the turn afterwards.
To add a kind: add its opening to `_OPENINGS`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store import chat_macros, macros, messages, site_state, texts, usage_limits
from store.db import Database
from store.errors import Refused
from store.messages import Reply, clock
from store.models import UNFINISHED, Chat, Turn, User
from store.views import TurnView, turn_view

_TURN_ID = re.compile(r"[0-9a-f]{32}")
WRITTEN = ("character", "narrator")
FOLLOWING = {"narrate", "suggest", "status"}
Opening = tuple[str | None, str | None]
"""Ids of the user's message and of the message that is written again or grows."""


@dataclass(frozen=True)
class TurnCommand:
    """What a browser asks for. `id` is 32 hex characters of its own making, `expected_revision` what it last saw.

    `then` names further parts of the same turn: narrate, suggest, status. `text` is the person's message, or with
    narrate a hint to the narrator.
    """

    id: str
    chat_id: str
    kind: str
    expected_revision: int
    text: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    then: tuple[str, ...] = ()


def submit(
    db: Database,
    owner_id: str,
    command: TurnCommand,
    now: float | None = None,
    max_waiting: int = 2,
    worker: str | None = None,
) -> TurnView:
    """Accept a turn, with the person's message when there is one. Doing it twice does nothing and returns the first.

    `max_waiting` is how many unfinished turns one person may have. With a `worker` the turn is queued for it, unless
    the person has another unfinished one or the queue is paused. Raises NotFound (the chat), Refused "bad_turn_id",
    "quiet_hours", "daily_limit",
    "bad_kind", "moved_on", "busy", "too_many_waiting", "empty", "too_long", "nothing_to_retry",
    "nothing_to_continue".
    """
    if not _TURN_ID.fullmatch(command.id):
        raise Refused("bad_turn_id")
    _refuse_bad_parts(command)
    try:
        return _submit(db, owner_id, command, clock(now), max_waiting, worker)
    except IntegrityError:  # only where two writers run at once: now the other one's turn is there to be seen
        return _submit(db, owner_id, command, clock(now), max_waiting, worker)


def _submit(
    db: Database, owner_id: str, command: TurnCommand, now: float, max_waiting: int, worker: str | None
) -> TurnView:
    with db.session() as session:
        known = session.get(Turn, command.id)
        if known is not None:
            return _again(known, owner_id, command)
        chat = messages.own_chat(session, owner_id, command.chat_id)
        usage_limits.refuse_if_over(session, session.get_one(User, owner_id, with_for_update=True), now)
        alone = _refuse_if_others(session, chat, command, max_waiting)
        at_once = worker is not None and alone
        user_message_id, reply_message_id = _OPENINGS[command.kind](session, chat, command, now)
        turn = Turn(
            id=command.id,
            chat_id=chat.id,
            owner_id=owner_id,
            kind=command.kind,
            state="queued" if at_once else "waiting",
            worker=worker if at_once else None,
            queued_at=now if at_once else None,
            attempt=0,
            crashes=0,
            params=_params(session, chat, command, now),
            user_message_id=user_message_id,
            reply_message_id=reply_message_id,
            partial="",
            cancel_requested=False,
            created_at=now,
            updated_at=now,
            stats={},
            result={},
        )
        session.add(turn)
        session.flush()
        return turn_view(turn)


def _again(known: Turn, owner_id: str, command: TurnCommand) -> TurnView:
    if known.owner_id != owner_id or known.chat_id != command.chat_id:
        raise Refused("bad_turn_id")
    return turn_view(known)


def _refuse_if_others(session: Session, chat: Chat, command: TurnCommand, max_waiting: int) -> bool:
    """Whether the turn may be queued at once: its owner has no other, and the queue moves.

    One statement for all that counts. Raises Refused "moved_on", "busy", "too_many_waiting".
    """
    if chat.revision != command.expected_revision:
        raise Refused("moved_on")
    unfinished = select(Turn.id).where(Turn.state.in_(UNFINISHED))
    mine = select(func.count()).select_from(Turn).where(Turn.owner_id == chat.owner_id, Turn.state.in_(UNFINISHED))
    here = unfinished.where(Turn.chat_id == chat.id).exists()
    n_mine, busy, moving = session.execute(select(mine.scalar_subquery(), here, site_state.not_paused())).one()
    if busy:
        raise Refused("busy")
    if n_mine >= max_waiting:
        raise Refused(
            "too_many_waiting", f"You already have {max_waiting} turns waiting: wait until one of them is done."
        )
    return bool(moving) and not n_mine


def _refuse_bad_parts(command: TurnCommand) -> None:
    known = command.kind in _OPENINGS and set(command.then) <= FOLLOWING
    if not known or len({command.kind, *command.then}) <= len(command.then):
        raise Refused("bad_kind")
    if len(command.text) > texts.MAX_TEXT:
        raise Refused("too_long")


def _params(session: Session, chat: Chat, command: TurnCommand, now: float) -> dict[str, Any]:
    params = dict(command.params)
    if command.then:
        params["then"] = list(command.then)
    hint = _resolved(session, chat, command, now) if command.kind == "narrate" else ""
    return {**params, "hint": hint} if hint else params


def _resolved(session: Session, chat: Chat, command: TurnCommand, now: float) -> str:
    """The command's text as it enters the chat."""
    text = texts.clean(command.text)
    if macros.may_be_in(text):
        text = chat_macros.resolve_in_chat(session, chat, messages.character_of(session, chat), text, now)
    text = text.strip()
    if len(text) > texts.MAX_TEXT:
        raise Refused("too_long")
    return text


def _say(session: Session, chat: Chat, command: TurnCommand, now: float) -> Opening:
    text = _resolved(session, chat, command, now)
    if not text:
        raise Refused("empty")
    message = messages.add_message(session, chat, "user", chat.user_name, command.id, now)
    messages.add_alternative(session, message, Reply(text), command.id, now, position=0)
    messages.raise_revision(chat, now)
    return message.id, None


def _write_again(session: Session, chat: Chat, _command: TurnCommand, _now: float) -> Opening:
    """The message that gets one more wording; none when the last word is the user's and its reply never came."""
    last = messages.last_message(session, chat.id)
    if last is not None and last.role == "user":
        return None, None
    if last is None or last.role not in WRITTEN or last.turn_id is None:
        raise Refused("nothing_to_retry")
    return None, last.id


def _go_on(session: Session, chat: Chat, _command: TurnCommand, _now: float) -> Opening:
    """The message that grows; none when the last word is the user's: then its reply is written."""
    last = messages.last_message(session, chat.id)
    if last is not None and last.role == "user":
        return None, None
    if last is None or last.role not in WRITTEN:
        raise Refused("nothing_to_continue")
    return None, last.id


def _beside(_session: Session, _chat: Chat, _command: TurnCommand, _now: float) -> Opening:
    """Nothing is written beforehand."""
    return None, None


_OPENINGS: dict[str, Callable[[Session, Chat, TurnCommand, float], Opening]] = {
    "chat": _say,
    "retry": _write_again,
    "continue": _go_on,
    "narrate": _beside,
    "suggest": _beside,
    "status": _beside,
}
