"""Hidden chats: a chat that is written in batches (chunking), invisible until it is complete.

What it does: `build_chat` makes a small chat in one transaction. A larger one is hidden from every reader while its
messages come in, then shown by one UPDATE; when that is interrupted, removal.py removes what was written.
What it refuses to know: where the messages come from (chat_copies.py, chat_transfer.py).
"""

from collections.abc import Callable

from sqlalchemy.orm import Session

from store import messages, removal
from store.batches import in_batches
from store.db import Database
from store.errors import NotFound
from store.messages import clock
from store.models import Chat
from store.removal import BUILDING
from store.views import ChatView, chat_view

Fill = Callable[[Session, Chat], bool]
"""Writes the next batch of messages; returns whether more are left."""


def build_chat(db: Database, make: Callable[[Session], tuple[Chat, Fill]], now: float | None = None) -> ChatView:
    """A new chat. `make` adds its row and says how it is filled. Raises what `make` and the filling raise."""
    with db.session() as session:
        chat, fill = make(session)
        if not fill(session, chat):
            return chat_view(chat, messages.character_of(session, chat))
        chat_id, chat.deleted_at = chat.id, BUILDING
    try:
        in_batches(db, lambda session: fill(session, _hidden(session, chat_id, now)))
        with db.session() as session:
            chat = _hidden(session, chat_id, now)
            chat.deleted_at = None
            session.flush()
            return chat_view(chat, messages.character_of(session, chat))
    except Exception:
        removal.remove_chat(db, chat_id)
        raise


def _hidden(session: Session, chat_id: str, now: float | None) -> Chat:
    """The chat that is being built; it is touched, so that nobody takes it for an interrupted one."""
    chat = session.get(Chat, chat_id, with_for_update=True)
    if chat is None:  # its owner was deleted meanwhile
        raise NotFound("chat")
    chat.updated_at = clock(now)
    return chat
