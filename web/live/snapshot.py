"""What a tab is told when it opens a chat: the newest messages, the revision, the turn under way or just failed, what
was suggested last, where the model's memory begins, and how the chat is set up."""

import threading
from dataclasses import dataclass
from typing import Any

from store import chats, message_pages, turns
from store.db import Database
from store.message_pages import MessagePage
from store.views import ChatView, MessageView, TurnView
from web import serializers

NEWEST = 60
SNAPSHOT_SLOTS = threading.BoundedSemaphore(2)
"""Whoever takes a snapshot goes through it: fifty tabs that come at once would keep everybody's words waiting."""
REPLYING = ("chat", "retry", "continue")


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
        """The newest messages."""
        return self.page.messages

    @property
    def revision(self) -> int:
        """The revision that the next command has to name."""
        return self.chat.revision

    @property
    def _unanswered(self) -> bool:
        """Whether the newest turn left its owner with nothing: it failed, or was stopped before any reply."""
        if self.newest is None or self.newest.state == "failed":
            return self.newest is not None
        alone = bool(self.messages) and self.messages[-1].role == "user"
        return self.newest.state == "cancelled" and self.newest.kind in REPLYING and alone

    def payload(self, after_seq: int) -> dict[str, Any]:
        """The `opened` message. Events of the turn that follow start after `after_seq`."""
        return {
            "type": "opened",
            "chat": self.chat.id,
            "revision": self.revision,
            "earlier": self.page.more,
            "messages": [serializers.message_json(message) for message in self.messages],
            "turn": self.turn and serializers.turn_json(self.turn),
            "unanswered": serializers.unanswered_json(self.newest) if self.newest and self._unanswered else None,
            "suggestion": serializers.suggestion_json(self.newest),
            "memory": serializers.memory_json(self.chat, self.n_forgotten),
            **serializers.setup_json(self.chat),
            "after": after_seq,
        }


def take(db: Database, user_id: str, chat_id: str) -> Snapshot:
    """Read it. The turn is read before the messages: a turn that ends in between shows up in both, never in none.

    Raises NotFound, also when the chat is somebody else's.
    """
    chats.get_chat(db, user_id, chat_id)
    unfinished = turns.unfinished(db, chat_id=chat_id)
    chat = chats.get_chat(db, user_id, chat_id)
    page = message_pages.newest(db, chat_id, NEWEST)
    n_forgotten = message_pages.n_forgotten(db, chat_id, serializers.memory_begins(chat))
    newest = None if unfinished else turns.newest_ended(db, chat_id)
    return Snapshot(chat, page, n_forgotten, unfinished[0] if unfinished else None, newest)
