"""Chats that somebody has just opened, so that a worker with nothing to do can wake them before the first word.

What it does: `ask` notes a chat with the worker that would get its turn, `take` gives that worker the newest one,
`keep_window` keeps where the woken session begins.
What it refuses to know: what waking is (worker/warmup.py). These are wishes, no jobs: one that is lost, too old or of
no use costs nothing, so they live in Redis alone and nobody repairs them.
"""

import time
from typing import Any

from redis import Redis
from sqlalchemy import select

from store.broker import keys, registry
from store.db import Database
from store.models import UNFINISHED, Chat, Turn

FRESH_S = 30.0
MAX_WISHES = 32  # wishes per worker; the oldest go


def ask(redis: Redis, chat_id: str, now: float | None = None) -> str | None:
    """Wish that a chat be woken; returns the name of the worker that was asked, None when there is none."""
    worker = registry.route(redis, chat_id)
    if worker is not None:
        key = keys.wakes(worker)
        with redis.pipeline(transaction=False) as pipe:
            pipe.zadd(key, {chat_id: time.time() if now is None else now})
            pipe.zremrangebyrank(key, 0, -MAX_WISHES - 1)
            pipe.expire(key, round(FRESH_S))
            pipe.execute()
    return worker


def take(redis: Redis, worker: str, now: float | None = None) -> str | None:
    """The chat that was opened last, once; None when nobody has opened one lately."""
    found: Any = redis.zpopmax(keys.wakes(worker))
    if not found:
        return None
    chat_id, asked_at = found[0]
    age_s = (time.time() if now is None else now) - asked_at
    return chat_id.decode() if age_s <= FRESH_S else None


def keep_window(db: Database, chat_id: str, revision: int, window: dict[str, Any]) -> bool:
    """Keep the window that a chat was woken with. False, and no change, when the chat has moved on or a turn is begun.

    Also False when the window was that already.
    """
    with db.session() as session:
        chat = session.get(Chat, chat_id)
        if chat is None or chat.revision != revision or chat.window == window:
            return False
        if session.scalar(select(Turn.id).where(Turn.chat_id == chat_id, Turn.state.in_(UNFINISHED)).limit(1)):
            return False
        chat.window = window
        return True
