"""Explanations of an alternative: token probabilities and lorebook entries used, as the worker kept them.

What it refuses to know: how they come about (worker/token_probabilities.py, worker/prompt/lore.py).
"""

from typing import Any

from store import messages
from store.db import Database
from store.errors import NotFound, Refused
from store.messages import own_chat
from store.models import Message


def token_probabilities(db: Database, owner_id: str, message_id: str, position: int) -> tuple[dict[str, Any], ...]:
    """The words of an alternative with their probabilities, as worker/token_probabilities.py keeps them; none if they
    were not asked for.

    Raises NotFound, also if it is another person's, Refused "no_such_alternative".
    """
    return tuple(_stats(db, owner_id, message_id, position).get("words", ()))


def lore_used(db: Database, owner_id: str, message_id: str, position: int) -> tuple[dict[str, Any], ...]:
    """The lorebook entries used for an alternative, as worker/prompt/lore.py keeps them; empty if none were.

    Raises NotFound, also if it is another person's, Refused "no_such_alternative".
    """
    return tuple(_stats(db, owner_id, message_id, position).get("lore", ()))


def _stats(db: Database, owner_id: str, message_id: str, position: int) -> dict[str, Any]:
    """The column `stats` of an alternative."""
    with db.reading() as session:
        message = session.get(Message, message_id)
        if message is None or message.deleted_at is not None:
            raise NotFound("message")
        own_chat(session, owner_id, message.chat_id, lock=False)
        alternatives = messages.read_message(session, message_id).alternatives
        if not 0 <= position < len(alternatives):
            raise Refused("no_such_alternative")
        return alternatives[position].stats
