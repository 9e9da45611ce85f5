"""Routing: which worker gets the next turn of a chat, with what SQL knows where Redis knows nothing any more.

What it does: `route` is registry.route with the model that wrote the chat's last reply.
What it refuses to know: what a worker is and when it counts as alive (registry.py).
"""

from redis import Redis
from sqlalchemy import select

from store.broker import registry
from store.db import Database
from store.models import Alternative, Message


def route(db: Database, redis: Redis, chat_id: str) -> str | None:
    """The worker of this chat; None when none is alive. Raises RedisError."""
    return registry.route(redis, chat_id, lambda: last_model(db, chat_id))


def last_model(db: Database, chat_id: str) -> str:
    """The key of the model that wrote the newest reply of a chat; "" where none did."""
    replies = select(Alternative.model_key).join(Message, Alternative.message_id == Message.id)
    written = replies.where(
        Message.chat_id == chat_id,
        Message.deleted_at.is_(None),
        Alternative.position == Message.active,
        Alternative.model_key.is_not(None),
    )
    with db.reading() as session:
        return session.scalar(written.order_by(Message.ordinal.desc()).limit(1)) or ""
