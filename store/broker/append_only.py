"""The append-only file of Redis: rewritten once an hour, so that what is deleted does not stay in it.

What it does: events of turns hold words and go from Redis an hour after their turn, but the file keeps every command
until Redis rewrites it, by itself only once it has doubled and is 64 MB large. The data set is small: a rewrite is
cheap.
What it refuses to know: whose words they are.
"""

import logging

from redis import Redis
from redis.exceptions import ResponseError

from store.broker import keys

log = logging.getLogger(__name__)

EVERY_S = 3_600


def rewrite_if_due(redis: Redis, every_s: float = EVERY_S) -> bool:
    """Ask Redis to rewrite its file in the background, one process of all; whether it was asked. Raises RedisError."""
    if not redis.set(keys.last_rewrite(), "1", nx=True, px=round(1000 * every_s)):
        return False
    try:
        redis.bgrewriteaof()
    except ResponseError as error:  # one is under way, or this Redis lets nobody ask
        log.info("Redis does not rewrite its append-only file now: %s", error)
        return False
    return True
