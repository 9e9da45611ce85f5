"""The snapshot of a chat that a tab gets when it opens it: newest messages, revision, running or failed turn, setup.

What it refuses to know: which events the tab has already (viewer.py).
"""

import threading
from dataclasses import dataclass

from store import chats, message_pages, turns
from store.db import Database
from store.message_pages import MessagePage
from store.turns.kinds import REPLYING
from store.views import ChatView, MessageView, TurnView
from web import serializers
from web.live.protocol.to_tab import Opened
from web.serializers import EndedJson

NEWEST = 60
SLOTS = threading.BoundedSemaphore(2)
"""At most 2 snapshots at once, so that a reconnect storm does not delay token delivery."""


@dataclass(frozen=True)
class Snapshot:
    """A chat as it stood when it was read."""

    chat: ChatView
    page: MessagePage
    n_forgotten: int
    turn: TurnView | None  # unfinished
    newest: TurnView | None  # the last one that ended, if none is under way

    @property
    def messages(self) -> tuple[MessageView, ...]:
        """The newest messages, oldest first."""
        return self.page.messages

    @property
    def revision(self) -> int:
        """The revision that the next command has to name (optimistic locking)."""
        return self.chat.revision

    @property
    def _unanswered(self) -> bool:
        """Whether the newest turn ended without a reply: it failed, or was stopped before its first token."""
        if self.newest is None or self.newest.state == "failed":
            return self.newest is not None
        alone = bool(self.messages) and self.messages[-1].role == "user"
        return self.newest.state == "cancelled" and self.newest.kind in REPLYING and alone

    def opened(self, after_seq: int, ended: EndedJson | None) -> Opened:
        """The frame `opened`. `ended`: how the turn that the tab was waiting for has ended."""
        return {
            "type": "opened",
            "chat": self.chat.id,
            "revision": self.revision,
            "earlier": self.page.more,
            "messages": serializers.messages_json(self.messages),
            "turn": serializers.turn_json(self.turn) if self.turn else None,
            "unanswered": serializers.unanswered_json(self.newest) if self.newest and self._unanswered else None,
            "suggestion": serializers.suggestion_json(self.newest),
            "memory": serializers.memory_json(self.chat, self.n_forgotten),
            **serializers.setup_json(self.chat),
            "after": after_seq,
            "ended": ended,
        }


def take(db: Database, user_id: str, chat_id: str) -> Snapshot:
    """Read a snapshot. The turn is read before the messages: a turn that ends in between is in both, never in none.

    Raises NotFound, also when the chat is somebody else's.
    """
    chats.get_chat(db, user_id, chat_id)
    unfinished = turns.unfinished(db, chat_id=chat_id)
    chat = chats.get_chat(db, user_id, chat_id)
    page = message_pages.newest(db, chat_id, NEWEST)
    n_forgotten = message_pages.n_forgotten(db, chat_id, serializers.memory_begins(chat))
    newest = None if unfinished else turns.newest_ended(db, chat_id)
    return Snapshot(chat, page, n_forgotten, unfinished[0] if unfinished else None, newest)
