"""What a tab is told when it opens a chat: the newest messages, the revision, and the turn under way or just failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from store import chats, turns
from store.db import Database
from store.views import ChatView, MessageView, TurnView
from web import wire

NEWEST = 60


@dataclass(frozen=True)
class Snapshot:
    """A chat as it stood when it was read."""

    chat: ChatView
    messages: tuple[MessageView, ...]
    turn: TurnView | None  # unfinished
    unanswered: TurnView | None  # it ended without a reply to the last message

    @property
    def revision(self) -> int:
        """The revision that the next command has to name."""
        return self.chat.revision

    def payload(self, after_seq: int) -> dict[str, Any]:
        """The `opened` message. Events of the turn that follow start after `after_seq`."""
        shown = self.messages[-NEWEST:]
        return {
            "type": "opened",
            "chat": self.chat.id,
            "revision": self.revision,
            "earlier": len(self.messages) - len(shown),
            "messages": [wire.message_json(message) for message in shown],
            "turn": self.turn and wire.turn_json(self.turn),
            "unanswered": self.unanswered and wire.unanswered_json(self.unanswered),
            "after": after_seq,
        }


def take(db: Database, user_id: str, chat_id: str) -> Snapshot:
    """Read it. The turn is read before the messages: a turn that ends in between shows up in both, never in none.

    Raises NotFound, also when the chat is somebody else's.
    """
    chats.get_chat(db, user_id, chat_id)
    unfinished = turns.unfinished(db, chat_id=chat_id)
    chat = chats.get_chat(db, user_id, chat_id)
    messages = chats.transcript(db, chat_id)
    unanswered = None if unfinished else _unanswered(db, messages)
    return Snapshot(chat, messages, unfinished[0] if unfinished else None, unanswered)


def _unanswered(db: Database, messages: Sequence[MessageView]) -> TurnView | None:
    """The turn whose reply never came: the last word is the person's."""
    if not messages or messages[-1].role != "user" or messages[-1].turn_id is None:
        return None
    turn = turns.get_turn(db, messages[-1].turn_id)
    return turn if turn.ended else None
