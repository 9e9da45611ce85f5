"""How a turn begins: `begin_turn`, one idempotent transaction (the turn's id is the idempotency key).

What it does: checks everything, writes the user's message and the turn, and returns all that an acknowledgement says:
no caller has to read again what was just written. The turn waits, or is queued at once for the worker that the caller
names when it is its owner's only one.
What it refuses to know: what happens to the turn afterwards.
To add an opening: a member of `kinds.Opening` and its function in `_OPENINGS`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store import macros, messages, quotas, site_state, texts, usage_limits
from store.chat_macros import ChatMacros
from store.db import Database
from store.errors import Refused
from store.messages import Reply, clock
from store.models import UNFINISHED, Chat, Message, Turn, User
from store.quotas import GENEROUS, Quota
from store.turns.kinds import FOLLOWING, KINDS, MODEL_ROLES, Opening
from store.views import MessageView, TurnView, turn_view

_TURN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class TurnCommand:
    """What a browser asks for. `id`: 32 hex characters, the idempotency key; `expected_revision`: the one last seen.

    `then` names further parts of the same turn (`kinds.FOLLOWING`). `text` is the user's message, with narrate a
    hint to the narrator, with retry what the new alternative begins with (the model goes on from there).
    """

    id: str
    chat_id: str
    kind: str
    expected_revision: int
    text: str = ""
    then: tuple[str, ...] = ()


@dataclass(frozen=True)
class BegunTurn:
    """What `begin_turn` wrote, or found where the id was known (`is_new` is False).

    `message`: the user's, None where the kind has none. `revision`: the chat's. `minutes_left`: of the daily limit,
    None without one. `worker`: the one that the caller named.
    """

    turn: TurnView
    is_new: bool
    message: MessageView | None
    revision: int
    minutes_left: int | None
    worker: str | None


_About = tuple[Message | None, Message | None]
"""The user's message, and the message that is written again or grows."""


def begin_turn(
    db: Database,
    owner_id: str,
    command: TurnCommand,
    now: float | None = None,
    max_waiting: int = 2,
    worker: str | None = None,
    quota: Quota = GENEROUS,
) -> BegunTurn:
    """Accept a turn, with the user's message when there is one. The same id again changes nothing.

    `max_waiting`: how many unfinished turns one person may have. With a `worker` the turn is queued for it, unless
    the person has another unfinished one or the queue is paused. Raises NotFound (the chat), Refused "bad_turn_id",
    "quiet_hours", "daily_limit", "bad_kind", "moved_on", "busy", "too_many_waiting", "empty", "too_long",
    "nothing_to_retry", "nothing_to_continue", "quota".
    """
    if not _TURN_ID.fullmatch(command.id):
        raise Refused("bad_turn_id")
    _refuse_bad_parts(command)
    command = replace(command, text=_entering_text(db, owner_id, command, clock(now)))
    given = (db, owner_id, command, clock(now), max_waiting, worker, quota)
    try:
        return _write_turn(*given)
    except IntegrityError:  # two writers at once: the other one's turn is there now
        return _write_turn(*given)


def _write_turn(
    db: Database, owner_id: str, command: TurnCommand, now: float, max_waiting: int, worker: str | None, quota: Quota
) -> BegunTurn:
    with db.session() as session:
        known = session.get(Turn, command.id)
        if known is not None:
            return _begun_before(session, known, owner_id, command, now, worker)
        chat = messages.own_chat(session, owner_id, command.chat_id)
        user = session.get_one(User, owner_id, with_for_update=True)
        minutes = usage_limits.refuse_if_over(session, user, now)
        is_only_one = _refuse_if_others(session, chat, command, max_waiting)
        quotas.refuse_if_over(session, owner_id, quota, messages=1)
        user_message, about = _OPENINGS[KINDS[command.kind].opening](session, chat, command, now)
        turn = _new_turn(chat, command, now, worker if is_only_one else None)
        turn.params = _params(command)
        turn.user_message_id = user_message.id if user_message else None
        turn.reply_message_id = about.id if about else None
        session.add(turn)
        session.flush()
        return _begun(session, turn, chat, user_message, minutes, worker, is_new=True)


def _new_turn(chat: Chat, command: TurnCommand, now: float, worker: str | None) -> Turn:
    """The row of a turn: queued where it has a worker, else waiting."""
    return Turn(
        id=command.id,
        chat_id=chat.id,
        owner_id=chat.owner_id,
        kind=command.kind,
        state="queued" if worker else "waiting",
        worker=worker,
        queued_at=now if worker else None,
        attempt=0,
        crashes=0,
        partial="",
        cancel_requested=False,
        created_at=now,
        updated_at=now,
        stats={},
        result={},
    )


def _begun_before(
    session: Session, turn: Turn, owner_id: str, command: TurnCommand, now: float, worker: str | None
) -> BegunTurn:
    if turn.owner_id != owner_id or turn.chat_id != command.chat_id:
        raise Refused("bad_turn_id")
    message = session.get(Message, turn.user_message_id) if turn.user_message_id else None
    minutes = usage_limits.minutes_today(session, session.get_one(User, turn.owner_id), now)
    return _begun(session, turn, session.get_one(Chat, turn.chat_id), message, minutes, worker, is_new=False)


def _begun(
    session: Session,
    turn: Turn,
    chat: Chat,
    message: Message | None,
    minutes: usage_limits.MinutesToday | None,
    worker: str | None,
    *,
    is_new: bool,
) -> BegunTurn:
    return BegunTurn(
        turn=turn_view(turn),
        is_new=is_new,
        message=messages.views_of(session, [message])[0] if message else None,
        revision=chat.revision,
        minutes_left=minutes.left if minutes else None,
        worker=worker,
    )


def _refuse_if_others(session: Session, chat: Chat, command: TurnCommand, max_waiting: int) -> bool:
    """Whether the turn may be queued at once: its owner has no other, and the queue moves.

    One statement for all that counts. Raises Refused "moved_on", "busy", "too_many_waiting".
    """
    if chat.revision != command.expected_revision:
        raise Refused("moved_on")
    unfinished = select(Turn.id).where(Turn.state.in_(UNFINISHED))
    of_owner = select(func.count()).select_from(Turn).where(Turn.owner_id == chat.owner_id, Turn.state.in_(UNFINISHED))
    in_chat = unfinished.where(Turn.chat_id == chat.id).exists()
    n_of_owner, is_busy, is_moving = session.execute(
        select(of_owner.scalar_subquery(), in_chat, site_state.not_paused())
    ).one()
    if is_busy:
        raise Refused("busy")
    if n_of_owner >= max_waiting:
        raise Refused("too_many_waiting", most=max_waiting)
    return bool(is_moving) and not n_of_owner


def _refuse_bad_parts(command: TurnCommand) -> None:
    known = command.kind in KINDS and set(command.then) <= set(FOLLOWING)
    if not known or len({command.kind, *command.then}) <= len(command.then):
        raise Refused("bad_kind")
    if len(command.text) > texts.MAX_TEXT:
        raise Refused("too_long")


def _params(command: TurnCommand) -> dict[str, Any]:
    params: dict[str, Any] = {"then": list(command.then)} if command.then else {}
    name = "begins" if _is_retry(command) else "hint" if KINDS[command.kind].narrates else ""
    text = _checked_text(command) if name else ""
    return {**params, name: text} if text else params


def _is_retry(command: TurnCommand) -> bool:
    return KINDS[command.kind].opening is Opening.RETRY_OF


def _entering_text(db: Database, owner_id: str, command: TurnCommand, now: float) -> str:
    """The command's text as it enters the chat: resolved before anything is locked, because it takes time.

    Where the chat is not as the person saw it, the text stays as it is: the command is refused or was done before.
    """
    text = texts.clean(command.text)
    if _is_retry(command):
        return text.lstrip()  # words of the model, to the letter: the next one may follow a blank or not
    if macros.may_be_in(text):
        with db.reading() as session:
            chat = session.get(Chat, command.chat_id)
            if chat is not None and (chat.owner_id, chat.revision) == (owner_id, command.expected_revision):
                text = ChatMacros(session, chat, messages.character_of(session, chat), now).resolve(text)
    return text.strip()


def _checked_text(command: TurnCommand) -> str:
    if len(command.text) > texts.MAX_TEXT:
        raise Refused("too_long")
    return command.text


def _write_user_message(session: Session, chat: Chat, command: TurnCommand, now: float) -> _About:
    text = _checked_text(command)
    if not text:
        raise Refused("empty")
    message = messages.add_message(session, chat, "user", chat.user_name, command.id, now)
    messages.add_alternative(session, message, Reply(text), command.id, now, position=0)
    quotas.add(session, chat.owner_id, messages=1, n_bytes=quotas.reply_bytes(text, None))
    messages.raise_revision(chat, now)
    return message, None


def _find_retried(session: Session, chat: Chat, _command: TurnCommand, _now: float) -> _About:
    """The message that gets one more alternative; none when the last one is the user's: its reply never came."""
    last = messages.last_message(session, chat.id)
    if last is not None and last.role == "user":
        return None, None
    if last is None or last.role not in MODEL_ROLES or last.turn_id is None:
        raise Refused("nothing_to_retry")
    return None, last


def _find_continued(session: Session, chat: Chat, _command: TurnCommand, _now: float) -> _About:
    """The message that grows; none when the last one is the user's: then its reply is written."""
    last = messages.last_message(session, chat.id)
    if last is not None and last.role == "user":
        return None, None
    if last is None or last.role not in MODEL_ROLES:
        raise Refused("nothing_to_continue")
    return None, last


def _write_nothing(_session: Session, _chat: Chat, _command: TurnCommand, _now: float) -> _About:
    return None, None


_OPENINGS: dict[Opening, Callable[[Session, Chat, TurnCommand, float], _About]] = {
    Opening.USER_MESSAGE: _write_user_message,
    Opening.RETRY_OF: _find_retried,
    Opening.CONTINUES: _find_continued,
    Opening.NOTHING: _write_nothing,
}
