"""Cost model of a changed message: the cache misses that follow, as messages and tokens that are read again.

What it does: counts the messages in the model's memory from the changed one on, and their tokens. Replies have their
tokens stored; the tokens of people's messages are estimated from the characters per token of that chat's replies, and
unknown without replies. Also the reading speed of the worker that has the chat.
What it refuses to know: what lorebooks, notes and the framing of messages add: every cost is an estimate.
"""

from dataclasses import dataclass

from redis import Redis
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from store import context_messages
from store.broker import registry
from store.db import Database
from store.errors import NotFound
from store.messages import own_chat
from store.models import Alternative, Chat, Message

BYTES_PER_TOKEN = 4  # as views.pack_tokens writes them
MIN_TOKENS_READ = 200  # tokens that a worker must have read before its speed says anything


@dataclass(frozen=True)
class RereadCost:
    """How many messages are read again, and about how many tokens; None: not known."""

    n_messages: int
    n_tokens: int | None


@dataclass(frozen=True)
class _Size:
    ordinal: int
    n_tokens: int | None
    n_chars: int


def of_message(db: Database, owner_id: str, chat_id: str, message_id: str) -> tuple[RereadCost, RereadCost]:
    """The cost of editing this message, and of deleting it. Raises NotFound, also if it is another person's."""
    with db.reading() as session:
        chat = own_chat(session, owner_id, chat_id, lock=False)
        message = session.get(Message, message_id)
        if message is None or message.chat_id != chat.id or message.deleted_at is not None:
            raise NotFound("message")
        sizes = _sizes(session, chat)
        if message.ordinal not in {size.ordinal for size in sizes}:
            return _cost([], None), _cost([], None)
        letters = _chars_per_token(sizes)
        after = [size for size in sizes if size.ordinal > message.ordinal]
        return _cost([size for size in sizes if size.ordinal >= message.ordinal], letters), _cost(after, letters)


def tokens_per_second(redis: Redis, chat_id: str) -> float | None:
    """Tokens per second that the worker of this chat reads; None without a worker, or if it has read too little."""
    name = registry.route(redis, chat_id)
    worker = registry.get(redis, name) if name else None
    if worker is None or worker.engine.n_tokens_read < MIN_TOKENS_READ or worker.engine.read_s <= 0:
        return None
    return worker.engine.n_tokens_read / worker.engine.read_s


def _sizes(session: Session, chat: Chat) -> list[_Size]:
    """The sizes of the messages in the model's memory, in order."""
    active = and_(Alternative.message_id == Message.id, Alternative.position == Message.active)
    columns = select(Message.ordinal, func.length(Alternative.tokens), func.length(Alternative.text))
    in_chat = columns.join(Alternative, active).where(Message.chat_id == chat.id)
    newest_first = in_chat.order_by(Message.ordinal.desc()).limit(context_messages.MAX_MESSAGES)
    conditions = context_messages.conditions(context_messages.window_of(session, chat))
    rows = [row for condition in conditions for row in session.execute(newest_first.where(condition))]
    return [
        _Size(ordinal, packed and packed // BYTES_PER_TOKEN, n_chars) for ordinal, packed, n_chars in reversed(rows)
    ]


def _chars_per_token(sizes: list[_Size]) -> float | None:
    """Characters per token in the replies of this chat; None without replies."""
    known = [(size.n_chars, size.n_tokens) for size in sizes if size.n_tokens]
    n_chars = sum(letters for letters, _ in known)
    return n_chars / sum(tokens for _, tokens in known) if n_chars else None


def _cost(sizes: list[_Size], chars_per_token: float | None) -> RereadCost:
    if not chars_per_token:
        return RereadCost(len(sizes), None)
    n_tokens = sum(size.n_tokens or size.n_chars / chars_per_token for size in sizes)
    return RereadCost(len(sizes), round(n_tokens))
