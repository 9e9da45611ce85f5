"""Cancel flags: how a stop reaches the worker at once, by a flag in Redis and a pub/sub message that it was raised.

What it does: the message saves the worker from polling; the flag is still there if the message was lost.
What it refuses to know: the database, which keeps the stop too (turns/lifecycle.py).
"""

from collections.abc import Iterable

from redis import Redis
from redis.client import PubSub

from store.broker import keys

FLAG_TTL_S = 3_600


def request(redis: Redis, turn_id: str) -> None:
    """Raise the flag of a turn and publish that it was raised."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.set(keys.cancel_flag(turn_id), "1", ex=FLAG_TTL_S)
        pipe.publish(keys.cancels_channel(), turn_id)
        pipe.execute()


def subscribe(redis: Redis) -> PubSub:
    """A subscription with a message whenever the flags must be read, also after it was connected (again)."""
    pubsub: PubSub = redis.pubsub()  # type: ignore[no-untyped-call]
    pubsub.subscribe(keys.cancels_channel())
    return pubsub


def requested(redis: Redis, turn_ids: Iterable[str]) -> set[str]:
    """The ids of the turns whose flag is raised, in one round trip."""
    ids = list(turn_ids)
    if not ids:
        return set()
    flags = redis.mget([keys.cancel_flag(turn_id) for turn_id in ids])
    return {turn_id for turn_id, flag in zip(ids, flags, strict=True) if flag is not None}
