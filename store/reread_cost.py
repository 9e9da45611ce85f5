"""What a change of an old message costs: how much of its chat a model reads again.

What it does: counts the messages of the model's memory from one on, and their tokens. What a model wrote has its tokens
beside it; what people wrote is estimated, with as many letters to a token as that chat's replies have. Nothing is
estimated where no reply tells. And the speed at which the worker of a chat has read so far.
What it refuses to know: what lorebooks, notes and the frames around messages add. So a price is always "about".
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
    """How many messages are read again, and about how many tokens; None: nobody knows."""

    n_messages: int
    n_tokens: int | None


@dataclass(frozen=True)
class _Size:
    ordinal: int
    n_tokens: int | None
    n_letters: int


def of_message(db: Database, owner_id: str, chat_id: str, message_id: str) -> tuple[RereadCost, RereadCost]:
    """What it costs to edit this message, and what to delete it. Raises NotFound, also when it is somebody else's."""
    with db.reading() as session:
        chat = own_chat(session, owner_id, chat_id, lock=False)
        message = session.get(Message, message_id)
        if message is None or message.chat_id != chat.id or message.deleted_at is not None:
            raise NotFound("message")
        sizes = _sizes(session, chat)
        if message.ordinal not in {size.ordinal for size in sizes}:
            return _price([], None), _price([], None)
        letters = _letters_a_token(sizes)
        after = [size for size in sizes if size.ordinal > message.ordinal]
        return _price([size for size in sizes if size.ordinal >= message.ordinal], letters), _price(after, letters)


def tokens_per_second(redis: Redis, chat_id: str) -> float | None:
    """How fast the worker that has this chat reads; None when none is there, or it has read too little to tell."""
    name = registry.route(redis, chat_id)
    worker = registry.get(redis, name) if name else None
    if worker is None or worker.engine.n_tokens_read < MIN_TOKENS_READ or worker.engine.read_s <= 0:
        return None
    return worker.engine.n_tokens_read / worker.engine.read_s


def _sizes(session: Session, chat: Chat) -> list[_Size]:
    """Of every message in the model's memory, in order."""
    active = and_(Alternative.message_id == Message.id, Alternative.position == Message.active)
    columns = select(Message.ordinal, func.length(Alternative.tokens), func.length(Alternative.text))
    there = columns.join(Alternative, active).where(Message.chat_id == chat.id, Message.deleted_at.is_(None))
    newest_first = there.order_by(Message.ordinal.desc()).limit(context_messages.MAX_MESSAGES)
    places = context_messages.conditions(context_messages.window_of(session, chat))
    rows = [row for place in places for row in session.execute(newest_first.where(place))]
    return [_Size(place, packed and packed // BYTES_PER_TOKEN, letters) for place, packed, letters in reversed(rows)]


def _letters_a_token(sizes: list[_Size]) -> float | None:
    """What the replies tell about this story's language and this model."""
    told = [(size.n_letters, size.n_tokens) for size in sizes if size.n_tokens]
    n_letters = sum(letters for letters, _ in told)
    return n_letters / sum(tokens for _, tokens in told) if n_letters else None


def _price(sizes: list[_Size], letters_a_token: float | None) -> RereadCost:
    if not letters_a_token:
        return RereadCost(len(sizes), None)
    n_tokens = sum(size.n_tokens or size.n_letters / letters_a_token for size in sizes)
    return RereadCost(len(sizes), round(n_tokens))
