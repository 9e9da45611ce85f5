"""Cancel flags: how the wish to stop reaches the worker at once. The database keeps the wish too (turns.py)."""

from collections.abc import Iterable

from redis import Redis

from store import keys

FLAG_TTL_S = 3_600


def request(redis: Redis, turn_id: str) -> None:
    """Raise the flag of a turn."""
    redis.set(keys.cancel_flag(turn_id), "1", ex=FLAG_TTL_S)


def requested(redis: Redis, turn_ids: Iterable[str]) -> set[str]:
    """Those of the turns whose flag is up, in one round trip."""
    ids = list(turn_ids)
    if not ids:
        return set()
    flags = redis.mget([keys.cancel_flag(turn_id) for turn_id in ids])
    return {turn_id for turn_id, flag in zip(ids, flags, strict=True) if flag is not None}
