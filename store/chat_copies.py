"""Copies of messages in SQL (INSERT ... SELECT), for a branch: no text passes through this process.

What it does: `Copying` is the filling of a new chat (chat_building.py): first the messages, then their alternatives,
then the notes on them, each time as many as one transaction may write. A message that is edited meanwhile is copied as
it is when its batch comes.
What it refuses to know: what a branch is besides (edits.py).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    SQLColumnExpression,
    Table,
    and_,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
)
from sqlalchemy.orm import Session, aliased

from store import quotas
from store.batches import ROWS, is_whole, row_id_prefix, take
from store.memory.notes import copy_notes
from store.models import Alternative, Chat, Message
from store.quotas import Quota

_MESSAGES: Table = Message.metadata.tables["messages"]
_ALTERNATIVES: Table = Message.metadata.tables["alternatives"]


class Copying:
    """Copies what stands in a chat up to an ordinal, its ordinals and turns included: they name its segments."""

    def __init__(self, old_chat_id: str, last_ordinal: int, quota: Quota) -> None:
        self._old, self._last, self._quota = old_chat_id, last_ordinal, quota
        self._message_after = -1
        self._alternative_after = (-1, -1)
        self._messages_left = True

    def fill(self, session: Session, chat: Chat) -> bool:
        """Copy the next batch into `chat`; whether more is left. Raises Refused "quota"."""
        if self._messages_left:
            self._messages_left = self._copy_messages(session, chat)
            if self._messages_left:
                return True
        if self._copy_alternatives(session, chat):
            return True
        copy_notes(session, self._old, chat, self._last)
        return False

    def _copy_messages(self, session: Session, chat: Chat) -> bool:
        kept = Message.chat_id == self._old, Message.ordinal <= self._last, Message.deleted_at.is_(None)
        following = (*kept, Message.ordinal > self._message_after)
        sizes = select(Message.ordinal, quotas.json_bytes(session, Message.extras)).where(*following)
        batch = list(take(session.execute(sizes.order_by(Message.ordinal).limit(ROWS)), _n_bytes))
        if not batch:
            return False
        given = _given(id=_id(session, chat, Message.ordinal, literal(0)), chat_id=literal(chat.id), indexed=false())
        rows = _select(_MESSAGES, Message, given).where(*following, Message.ordinal <= batch[-1][0])
        session.execute(insert(_MESSAGES).from_select(_names(_MESSAGES), rows))
        self._message_after = batch[-1][0]
        quotas.add(session, chat.owner_id, messages=len(batch), n_bytes=sum(map(_n_bytes, batch)), quota=self._quota)
        return not is_whole(batch, _n_bytes)

    def _copy_alternatives(self, session: Session, chat: Chat) -> bool:
        ordinal, position = self._alternative_after
        new, old = aliased(Message), aliased(Message)
        following = and_(
            new.chat_id == chat.id,
            new.ordinal >= ordinal,
            or_(new.ordinal > ordinal, Alternative.position > position),
        )
        joined = and_(old.chat_id == self._old, old.ordinal == new.ordinal)
        sizes = select(new.ordinal, Alternative.position, quotas.alternative_bytes(session))
        sizes = sizes.join_from(new, old, joined).join(Alternative, Alternative.message_id == old.id).where(following)
        batch = list(take(session.execute(sizes.order_by(new.ordinal, Alternative.position).limit(ROWS)), _n_bytes))
        if not batch:
            return False
        new_id = _id(session, chat, new.ordinal, Alternative.position + 1)
        given = _given(id=new_id, message_id=new.id, prompt=null())  # no quota counts a prompt: each is kept once
        rows = _select(_ALTERNATIVES, Alternative, given).join_from(new, old, joined)
        rows = rows.join(Alternative, Alternative.message_id == old.id).where(following)
        rows = rows.order_by(new.ordinal, Alternative.position).limit(len(batch))
        session.execute(insert(_ALTERNATIVES).from_select(_names(_ALTERNATIVES), rows))
        self._alternative_after = (batch[-1][0], batch[-1][1])
        quotas.add(session, chat.owner_id, n_bytes=sum(map(_n_bytes, batch)), quota=self._quota)
        return not is_whole(batch, _n_bytes)


def _select(table: Table, model: Any, given: dict[str, SQLColumnExpression[Any]]) -> Select[Any]:
    return select(*(given.get(name, getattr(model, name)) for name in _names(table)))


def _given(**columns: SQLColumnExpression[Any]) -> dict[str, SQLColumnExpression[Any]]:
    """The columns of a copy that are not those of its original."""
    return columns


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def _id(session: Session, chat: Chat, *numbers: SQLColumnExpression[int]) -> ColumnElement[str]:
    """The same as `batches.row_id`, made in SQL."""
    if session.get_bind().dialect.name == "sqlite":
        return literal(row_id_prefix(chat.id)).concat(func.printf("%08x%08x", *numbers))
    first, second = (func.lpad(func.to_hex(number), 8, "0") for number in numbers)
    return literal(row_id_prefix(chat.id)).concat(first).concat(second)


def _n_bytes(row: Row[Any] | Sequence[Any]) -> int:
    return int(row[-1] or 0)
