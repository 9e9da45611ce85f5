"""Switches: which workers are changing their model just now, and about how long that takes; a hint for pages.

What it does: a worker calls `begin` before it drains and `end` when the new model answers. The truth about what was
chosen is in SQL (store/shelf/choices.py); if Redis is emptied meanwhile, pages say that the storyteller is away.
What it refuses to know: models, and who chose one.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

from redis import Redis

from store.broker import keys

LEAST_S = 60.0
KEPT_S = 4 * 3600
"""Longer than any change counts as one."""


@dataclass(frozen=True)
class Switch:
    """A worker that changes to the model `name` ("": the one of its start), since `at`; `about_s` seconds in all."""

    worker: str
    name: str
    at: float
    about_s: int


def begin(redis: Redis, worker: str, name: str, about_s: int, now: float | None = None) -> None:
    """A worker is about to stop for another model."""
    entry = {"name": name, "about_s": about_s, "at": time.time() if now is None else now}
    with redis.pipeline() as pipe:
        pipe.hset(keys.switches(), worker, json.dumps(entry))
        pipe.expire(keys.switches(), KEPT_S)
        pipe.execute()


def end(redis: Redis, worker: str) -> None:
    """It answers again, with whatever model."""
    redis.hdel(keys.switches(), worker)


def under_way(redis: Redis, now: float | None = None) -> tuple[Switch, ...]:
    """Every change that goes on, by worker. One that takes four times as long as foreseen, and a minute, is none any
    more: that worker is away. Raises RedisError."""
    now = time.time() if now is None else now
    entries: Any = redis.hgetall(keys.switches())
    found = (Switch(worker=name.decode(), **json.loads(entry)) for name, entry in sorted(entries.items()))
    return tuple(one for one in found if abs(now - one.at) <= max(LEAST_S, 4 * one.about_s))
