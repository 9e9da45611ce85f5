"""Reads and writes messages and alternatives inside the caller's transaction; raises the revision of a chat.

What it does: the statements that the other modules of the store share.
What it refuses to know: what a turn is for, and when a transaction ends.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Session

from store.errors import NotFound, Refused
from store.models import UNFINISHED, Alternative, Character, Chat, Message, Turn, User
from store.views import AlternativeView, MessageView, message_view, pack_tokens
from store.visibility import allowed_ratings


@dataclass(frozen=True)
class Reply:
    """What a worker wrote. `tokens` belong to the model `model_key`; no `name` means the character's.

    A reply that `grows` replaces the alternative that it continues: its text and tokens are the complete ones. `prompt`
    is what it was written from (prompt_records.py).
    """

    text: str
    tokens: tuple[int, ...] | None = field(default=None, repr=False)
    model_key: str | None = None
    finish: str | None = None
    stats: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    role: str = "character"
    grows: bool = False
    prompt: str | None = field(default=None, repr=False)


_IDS_PER_QUERY = 250


def new_id() -> str:
    """A fresh id: 32 hex characters."""
    return uuid.uuid4().hex


def clock(now: float | None) -> float:
    """`now`, or the time of the machine if it is None."""
    return time.time() if now is None else now


def own_chat(session: Session, owner_id: str, chat_id: str, lock: bool = True) -> Chat:
    """The chat, its row locked where the database locks rows.

    Raises NotFound, also if it is another person's, Refused "not_for_you" if its character is rated above what its
    owner may see now: the chat stays, and opens again when the role allows it.
    """
    chat = session.get(Chat, chat_id, with_for_update=lock)
    if chat is None or chat.owner_id != owner_id or chat.deleted_at is not None:
        raise NotFound("chat")
    both = select(Character.rating, User.role).join_from(Character, User, User.id == owner_id)
    rating, role = session.execute(both.where(Character.id == chat.character_id)).one()
    if rating not in allowed_ratings(role):
        raise Refused("not_for_you")
    return chat


def refuse_if_changed(session: Session, chat: Chat, expected_revision: int) -> None:
    """Optimistic lock. Raises Refused "moved_on" (the chat was changed since) or "busy" (a turn is under way)."""
    if chat.revision != expected_revision:
        raise Refused("moved_on")
    if session.scalar(select(Turn.id).where(Turn.chat_id == chat.id, Turn.state.in_(UNFINISHED)).limit(1)):
        raise Refused("busy")


def raise_revision(chat: Chat, now: float) -> int:
    """The chat has changed: raise its revision and return it."""
    chat.revision += 1
    chat.updated_at = now
    return chat.revision


def add_message(session: Session, chat: Chat, role: str, name: str, turn_id: str | None, now: float) -> Message:
    """A new message at the end of the chat, as yet without alternatives."""
    last = session.scalar(select(func.max(Message.ordinal)).where(Message.chat_id == chat.id))
    message = Message(
        id=new_id(),
        chat_id=chat.id,
        ordinal=0 if last is None else last + 1,
        role=role,
        name=name,
        active=0,
        turn_id=turn_id,
        created_at=now,
    )
    session.add(message)
    session.flush()
    return message


def add_alternative(
    session: Session, message: Message, reply: Reply, turn_id: str | None, now: float, position: int | None = None
) -> int:
    """One more alternative of a message; returns its position. The caller decides which one is active.

    `position` is for callers who know it: a message that is new has none yet.
    """
    if position is None:
        last = session.scalar(select(func.max(Alternative.position)).where(Alternative.message_id == message.id))
        position = 0 if last is None else last + 1
    message.indexed = False
    session.add(
        Alternative(
            id=new_id(),
            message_id=message.id,
            position=position,
            text=reply.text,
            tokens=pack_tokens(reply.tokens),
            model_key=reply.model_key,
            finish=reply.finish,
            turn_id=turn_id,
            stats=reply.stats,
            prompt=reply.prompt,
            created_at=now,
        )
    )
    session.flush()
    return position


def grow_alternative(session: Session, message: Message, reply: Reply, turn_id: str) -> None:
    """Replace the active alternative by `reply`, which contains it. Its status is dropped."""
    message.indexed = False
    alternative = active_alternative(session, message)
    alternative.text, alternative.tokens = reply.text, pack_tokens(reply.tokens)
    alternative.model_key, alternative.finish = reply.model_key, reply.finish
    alternative.turn_id, alternative.stats, alternative.status = turn_id, reply.stats, None
    alternative.prompt = reply.prompt


def active_alternative(session: Session, message: Message) -> Alternative:
    """The active alternative of a message."""
    of_message = Alternative.message_id == message.id
    return session.scalars(select(Alternative).where(of_message, Alternative.position == message.active)).one()


def last_message(session: Session, chat_id: str) -> Message | None:
    """The last message that is not deleted."""
    return session.scalars(_messages(chat_id).order_by(Message.ordinal.desc()).limit(1)).first()


def read_messages(session: Session, chat_id: str) -> tuple[MessageView, ...]:
    """Every message of the chat that is not deleted, in order."""
    return views_of(session, session.scalars(_messages(chat_id).order_by(Message.ordinal)))


def read_message(session: Session, message_id: str) -> MessageView:
    """One message. Raises NotFound."""
    message = session.get(Message, message_id)
    if message is None or message.deleted_at is not None:
        raise NotFound("message")
    return views_of(session, [message])[0]


def character_of(session: Session, chat: Chat) -> Character:
    """The character that a chat is with."""
    return session.get_one(Character, chat.character_id)


def name_of_character(session: Session, chat: Chat) -> str:
    """The name of the character, without reading its card, which may be large."""
    return session.scalars(select(Character.name).where(Character.id == chat.character_id)).one()


def _messages(chat_id: str) -> Select[Message]:
    return select(Message).where(Message.chat_id == chat_id, Message.deleted_at.is_(None))


def columns_of(model: type[DeclarativeBase], view: type[Any]) -> tuple[InstrumentedAttribute[Any], ...]:
    """The columns that a view is made of: such rows cost half of what ORM objects do."""
    return tuple(getattr(model, name) for name in view.__dataclass_fields__ if hasattr(model, name))


MESSAGE = columns_of(Message, MessageView)
_ALTERNATIVE = (Alternative.message_id, *columns_of(Alternative, AlternativeView))


def views_of(session: Session, rows: Iterable[Message | Row[Any]]) -> tuple[MessageView, ...]:
    """The values of some messages of one chat, with their alternatives."""
    messages = list(rows)
    alternatives = defaultdict(list)
    for start in range(0, len(messages), _IDS_PER_QUERY):
        wanted = Alternative.message_id.in_([message.id for message in messages[start : start + _IDS_PER_QUERY]])
        for row in session.execute(select(*_ALTERNATIVE).where(wanted).order_by(Alternative.position)):
            alternatives[row.message_id].append(row)
    return tuple(message_view(message, alternatives[message.id]) for message in messages)
