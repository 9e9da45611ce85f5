"""The registry of workers: who is there, what they hold, and who should get a chat.

What it does: a worker says `announce` every second or so; when it stops, its entry goes by itself after a few seconds.
`route` sends a chat to the worker that has its session, else to the one that had it last, else to the least loaded.
What it refuses to know: turns, RQ's jobs (only the length of a queue), and what a dead worker leaves behind (queue.py).
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from redis import Redis
from rq import Queue

from store import keys

HEARTBEAT_TTL_S = 6.0
PIN_TTL_S = 30 * 86_400


@dataclass(frozen=True)
class WorkerView:
    """What a worker says about itself. `chats` are those whose sessions are in its cells; `at` is its clock."""

    name: str
    model: str
    lanes: int
    running: int
    chats: tuple[str, ...]
    at: float

    @property
    def queue(self) -> str:
        """Name of its RQ queue."""
        return keys.queue(self.name)


def announce(redis: Redis, worker: WorkerView, ttl_s: float = HEARTBEAT_TTL_S) -> None:
    """A heartbeat: the worker is there for the next `ttl_s`, unless it says so again."""
    with redis.pipeline() as pipe:
        pipe.set(keys.worker(worker.name), json.dumps(asdict(worker)), px=round(ttl_s * 1000))
        pipe.sadd(keys.workers(), worker.name)
        pipe.execute()


def retire(redis: Redis, name: str) -> None:
    """The worker goes, and says so."""
    with redis.pipeline() as pipe:
        pipe.delete(keys.worker(name))
        pipe.srem(keys.workers(), name)
        pipe.execute()


def alive(redis: Redis) -> dict[str, WorkerView]:
    """Every worker that is there, by name. Names of the dead are dropped on the way."""
    names = sorted(name.decode() for name in _members(redis, keys.workers()))
    if not names:
        return {}
    entries = redis.mget([keys.worker(name) for name in names])
    found = {name: _view(entry) for name, entry in zip(names, entries, strict=True) if entry is not None}
    dead = [name for name in names if name not in found]
    if dead:
        redis.srem(keys.workers(), *dead)
    return found


def pin(redis: Redis, chat_ids: Iterable[str], name: str) -> None:
    """Note that the blocks of these chats are with this worker."""
    with redis.pipeline(transaction=False) as pipe:
        for chat_id in chat_ids:
            pipe.set(keys.pin(chat_id), name, ex=PIN_TTL_S)
        pipe.execute()


def route(redis: Redis, chat_id: str) -> str | None:
    """The name of the worker that should get a turn of this chat; None when no worker is there."""
    workers = alive(redis)
    for worker in workers.values():
        if chat_id in worker.chats:
            return worker.name
    pinned = redis.get(keys.pin(chat_id))
    if isinstance(pinned, bytes) and pinned.decode() in workers:
        return pinned.decode()
    return _least_loaded(redis, list(workers.values()))


def _least_loaded(redis: Redis, workers: list[WorkerView]) -> str | None:
    if not workers:
        return None
    with redis.pipeline(transaction=False) as pipe:
        for worker in workers:
            pipe.llen(Queue.redis_queue_namespace_prefix + worker.queue)
        waiting = pipe.execute()
    loads = [((n + worker.running) / worker.lanes, worker.name) for n, worker in zip(waiting, workers, strict=True)]
    return min(loads)[1]


def _members(redis: Redis, key: str) -> set[bytes]:
    members: Any = redis.smembers(key)
    return set(members)


def _view(entry: Any) -> WorkerView:
    fields = json.loads(entry)
    return WorkerView(**{**fields, "chats": tuple(fields["chats"])})
