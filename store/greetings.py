"""Greetings: the first message of a new chat, from the texts of its character's card.

What it does: `resolved` replaces the macros of the greetings, before anything is written; `write_chat` adds a new chat
with them, in the caller's transaction. A card may have more greetings than MAX_GREETINGS: the further ones stay in the
card.
What it refuses to know: who may begin a chat (chats.py, edits.py).
"""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from store import messages, quotas, texts
from store.messages import Reply
from store.models import Chat

MAX_GREETINGS = 200


def resolved(resolve: Callable[[str], str], card: Mapping[str, Any]) -> tuple[str, ...]:
    """The greetings of a card as they are said in a chat, the first one first; empty ones are left out.

    `resolve` replaces the macros of a text.
    """
    others = card.get("alternate_greetings")
    drafts = [card.get("first_mes"), *(others if isinstance(others, list) else [others])]
    said = (resolve(texts.clean(draft)).strip() for draft in drafts if isinstance(draft, str))
    return tuple(islice(filter(None, said), MAX_GREETINGS))


def write_chat(session: Session, chat: Chat, character_name: str, greetings: tuple[str, ...], opening: int = 0) -> None:
    """Add a new chat; its greetings are the alternatives of its first message, and it begins with that of `opening`."""
    session.add(chat)
    session.flush()
    if greetings:
        message = messages.add_message(session, chat, "character", character_name, None, chat.created_at)
        for position, greeting in enumerate(greetings):
            messages.add_alternative(session, message, Reply(greeting), None, chat.created_at, position)
        message.active = opening if 0 <= opening < len(greetings) else 0
        n_bytes = sum(quotas.reply_bytes(greeting, None) for greeting in greetings)
        quotas.add(session, chat.owner_id, messages=1, n_bytes=n_bytes)
