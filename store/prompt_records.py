"""Prompt records: what the model read for an alternative, segment by segment, kept with a chat's newest messages.

What it does: packs a record into a text for its column (JSON, deflated), takes it out again for its owner, and drops it
where enough newer messages have one: a prompt is some kilobytes, a story goes on for years.
What it refuses to know: how a prompt is made (worker/prompt_record.py has the fields), and how it is shown (web).
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from store.db import Database
from store.errors import NotFound, Refused
from store.messages import own_chat
from store.models import Alternative, Message

KEPT = 20  # newest messages of a chat that keep theirs, and newest alternatives of a message
MAX_BYTES = 4 << 20  # of an unpacked record


def pack(record: Mapping[str, Any]) -> str | None:
    """A record as the text of its column; None for one that is too large to be kept."""
    written = json.dumps(record, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(written, 3)).decode() if len(written) <= MAX_BYTES else None


def unpack(packed: str) -> dict[str, Any]:
    """The reverse of `pack`."""
    record: dict[str, Any] = json.loads(zlib.decompressobj().decompress(base64.b64decode(packed), MAX_BYTES))
    return record


def read(db: Database, owner_id: str, message_id: str, position: int) -> dict[str, Any] | None:
    """What the model read for an alternative; None where it is not known (any more).

    Raises NotFound, also if it is another person's, Refused "no_such_alternative".
    """
    with db.reading() as session:
        message = session.get(Message, message_id)
        if message is None or message.deleted_at is not None:
            raise NotFound("message")
        own_chat(session, owner_id, message.chat_id, lock=False)
        wanted = select(Alternative.prompt).where(Alternative.message_id == message_id)
        row = session.execute(wanted.where(Alternative.position == position)).one_or_none()
    if row is None:
        raise Refused("no_such_alternative")
    return unpack(row[0]) if row[0] else None


def drop_old(session: Session, chat_id: str, written: Sequence[Message]) -> None:
    """Drop the records that have just become too old, now that a turn has written these messages: those of messages
    far above them, and those of their own earlier alternatives."""
    end = max(message.ordinal for message in written) - KEPT
    old = select(Message.id).where(Message.chat_id == chat_id, Message.ordinal <= end, Message.ordinal > end - KEPT)
    _drop(session, Alternative.message_id.in_(old))
    for message in written:
        newest = message.active - KEPT
        early = and_(Alternative.position <= newest, Alternative.position > newest - KEPT)
        _drop(session, Alternative.message_id == message.id, early)


def _drop(session: Session, *which: ColumnElement[bool]) -> None:
    dropping = update(Alternative).where(*which, Alternative.prompt.is_not(None)).values(prompt=None)
    session.execute(dropping, execution_options={"synchronize_session": False})
