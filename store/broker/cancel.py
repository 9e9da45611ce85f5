"""Cancel flags: how the wish to stop reaches the worker at once. The database keeps the wish too (turns/lifecycle.py).

A channel says that a flag was raised, so that nobody has to look all the time; what was said while nobody listened is
still found in the flags.
"""

from collections.abc import Iterable

from redis import Redis
from redis.client import PubSub

from store.broker import keys

FLAG_TTL_S = 3_600


def request(redis: Redis, turn_id: str) -> None:
    """Raise the flag of a turn, and say so."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.set(keys.cancel_flag(turn_id), "1", ex=FLAG_TTL_S)
        pipe.publish(keys.cancels_channel(), turn_id)
        pipe.execute()


def subscribe(redis: Redis) -> PubSub:
    """A subscription that has a message whenever it is time to look at the flags: also when it (again) stands."""
    pubsub: PubSub = redis.pubsub()  # type: ignore[no-untyped-call]
    pubsub.subscribe(keys.cancels_channel())
    return pubsub


def requested(redis: Redis, turn_ids: Iterable[str]) -> set[str]:
    """Those of the turns whose flag is up, in one round trip."""
    ids = list(turn_ids)
    if not ids:
        return set()
    flags = redis.mget([keys.cancel_flag(turn_id) for turn_id in ids])
    return {turn_id for turn_id, flag in zip(ids, flags, strict=True) if flag is not None}
