"""Warm-up hints (preload): chats that were just opened, so that an idle worker can wake them before the first message.

What it does: `ask` adds a chat to the hints of the worker that would get its turn, `take` gives that worker the newest
one, `keep_window` keeps where the woken session begins.
What it refuses to know: what waking is (worker/warmup.py). Hints are no jobs: a lost or late one costs nothing, so they
live in Redis alone and no recovery looks after them.
"""

import time
from typing import Any

from redis import Redis
from sqlalchemy import select

from store.broker import keys, registry
from store.db import Database
from store.models import UNFINISHED, Chat, Turn

FRESH_S = 30.0
MAX_HINTS = 32  # per worker; the oldest are dropped


def ask(redis: Redis, chat_id: str, now: float | None = None) -> str | None:
    """Hint that a chat may be woken; returns the name of the worker, None when none is alive."""
    worker = registry.route(redis, chat_id)
    if worker is not None:
        key = keys.wakes(worker)
        with redis.pipeline(transaction=False) as pipe:
            pipe.zadd(key, {chat_id: time.time() if now is None else now})
            pipe.zremrangebyrank(key, 0, -MAX_HINTS - 1)
            pipe.expire(key, round(FRESH_S))
            pipe.execute()
    return worker


def take(redis: Redis, worker: str, now: float | None = None) -> str | None:
    """Take the chat that was opened last; None when none was opened within FRESH_S seconds."""
    newest: Any = redis.zpopmax(keys.wakes(worker))
    if not newest:
        return None
    chat_id, asked_at = newest[0]
    age_s = (time.time() if now is None else now) - asked_at
    return chat_id.decode() if age_s <= FRESH_S else None


def keep_window(db: Database, chat_id: str, revision: int, window: dict[str, Any]) -> bool:
    """Keep the window that a chat was woken with (compare-and-set on the revision).

    False, and no change, when the chat has moved on, a turn has begun, or the window is the same.
    """
    with db.session() as session:
        chat = session.get(Chat, chat_id)
        if chat is None or chat.revision != revision or chat.window == window:
            return False
        if session.scalar(select(Turn.id).where(Turn.chat_id == chat_id, Turn.state.in_(UNFINISHED)).limit(1)):
            return False
        chat.window = window
        return True
