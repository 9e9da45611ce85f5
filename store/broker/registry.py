"""Service discovery and session affinity: which workers are alive, what they hold, and which one gets a chat.

What it does: a worker calls `announce` every second or so (a heartbeat); without it its entry expires after a few
seconds. `route` sends a chat to the worker that has its session, else to the one it is pinned to, else to the least
loaded; where workers run different models, to one of the chat's own model while such a one lives.
What it refuses to know: turns, RQ's jobs (only the length of a queue), what a dead worker leaves behind (recovery.py).
To add a figure of an engine: a field of EngineView with a default, set in worker/engine_stats.py.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

from redis import Redis
from rq import Queue

from store.broker import keys

HEARTBEAT_TTL_S = 6.0
PIN_TTL_S = 30 * 86_400


@dataclass(frozen=True)
class EngineView:
    """The engine in a heartbeat: the model, its memory plan, cells and blocks, and counters of its turns.

    Counters (`n_...`, `..._s`) begin with the process, at `since`. `gpu_layers` 0: no card; a plan of 0 bytes: none
    was made (the echo backend). `device` is the card, `build` llama.cpp's backend for it. `story_...`: bytes that a
    story of `context` tokens keeps. `model_file`: its name in the models folder, "" where it lies elsewhere;
    `model_why`: "chosen", "started" (INGLENOOK_MODEL), "demo", or "instead" of one that cannot be used.
    """

    since: float = 0.0
    model_name: str = ""
    model_file: str = ""
    model_why: str = ""
    kind: str = ""
    kv_type: str = ""
    device: str = ""
    build: str = ""
    driver: str = ""
    lanes: int = 0
    context: int = 0
    max_reply: int = 0
    layers: int = 0
    gpu_layers: int = 0
    weight_bytes: int = 0
    kv_bytes: int = 0
    compute_bytes: int = 0
    reserve_bytes: int = 0
    budget_bytes: int = 0
    story_in_ram: int = 0
    story_on_disk: int = 0
    cells: int = 0
    cells_used: int = 0
    ram_budget: int = 0
    ram_used: int = 0
    disk_budget: int = 0
    disk_used: int = 0
    n_restored: int = 0
    n_fetched: int = 0
    n_evicted_ram: int = 0
    n_evicted_disk: int = 0
    n_refused: int = 0
    n_unwritten: int = 0
    n_turns: int = 0
    n_tokens_read: int = 0
    n_tokens_written: int = 0
    n_tokens_kept: int = 0
    n_tokens_shared: int = 0
    n_tokens_restored: int = 0
    wake_s: float = 0.0
    read_s: float = 0.0
    write_s: float = 0.0


NOTHING_KNOWN = EngineView()


@dataclass(frozen=True)
class WorkerView:
    """The heartbeat of a worker. `chats` are those whose sessions are in its cells; `at` is its clock.

    `busy_s`: how long each running turn has taken so far; `turn_s`: how long the last turns took.
    """

    name: str
    model: str
    lanes: int
    running: int
    chats: tuple[str, ...]
    at: float
    busy_s: tuple[float, ...] = ()
    turn_s: tuple[float, ...] = ()
    host: str = ""
    engine: EngineView = NOTHING_KNOWN

    @property
    def queue(self) -> str:
        """Name of its RQ queue."""
        return keys.queue(self.name)


def announce(redis: Redis, worker: WorkerView, ttl_s: float = HEARTBEAT_TTL_S) -> None:
    """A heartbeat: the worker counts as alive for the next `ttl_s` seconds."""
    with redis.pipeline() as pipe:
        pipe.set(keys.worker(worker.name), json.dumps(asdict(worker)), px=round(ttl_s * 1000))
        pipe.sadd(keys.workers(), worker.name)
        pipe.execute()


def retire(redis: Redis, name: str) -> None:
    """Remove a worker that stops, or is dead."""
    with redis.pipeline() as pipe:
        pipe.delete(keys.worker(name))
        pipe.srem(keys.workers(), name)
        pipe.execute()


def alive(redis: Redis) -> dict[str, WorkerView]:
    """Every living worker, by name. Removes the names of dead ones."""
    return _entries(redis, _members(redis))


def names(redis: Redis) -> tuple[str, ...]:
    """Names only, sorted; may include workers that died since the last call of `alive`."""
    return tuple(sorted(name.decode() for name in _members(redis)))


def _entries(redis: Redis, members: Iterable[bytes]) -> dict[str, WorkerView]:
    names = sorted(name.decode() for name in members)
    if not names:
        return {}
    entries = redis.mget([keys.worker(name) for name in names])
    living = {name: _view(entry) for name, entry in zip(names, entries, strict=True) if entry is not None}
    dead = [name for name in names if name not in living]
    if dead:
        redis.srem(keys.workers(), *dead)
    return living


def get(redis: Redis, name: str) -> WorkerView | None:
    """The last heartbeat of one worker; None when it is not alive."""
    return read(redis.get(keys.worker(name)))


def read(entry: Any) -> WorkerView | None:
    """The value of a worker's entry; None when there is none."""
    return None if entry is None else _view(entry)


def pin(redis: Redis, chat_ids: Iterable[str], name: str, model: str = "") -> None:
    """Pin chats to the worker that has their KV blocks, and to its model: `WorkerView.model`."""
    with redis.pipeline(transaction=False) as pipe:
        for chat_id in chat_ids:
            pipe.set(keys.pin(chat_id), f"{name} {model}".rstrip(), ex=PIN_TTL_S)
        pipe.execute()


def route(redis: Redis, chat_id: str, last_model: Callable[[], str] = str) -> str | None:
    """The name of the worker that gets the next turn of this chat; None when none is alive.

    That which has its session; else the one it is pinned to; if that is gone or runs another model now, the least
    loaded of those that run the chat's model, which its blocks and its style belong to. `last_model` tells that model
    where Redis does not know the chat (any more): it is asked only if the workers differ.
    """
    with redis.pipeline(transaction=False) as pipe:
        pipe.smembers(keys.workers())
        pipe.get(keys.pin(chat_id))
        members, pinned = pipe.execute()
    workers = _entries(redis, members)
    for worker in workers.values():
        if chat_id in worker.chats:
            return worker.name
    name, _, model = pinned.decode().partition(" ") if isinstance(pinned, bytes) else ("", "", "")
    if name in workers and workers[name].model == (model or workers[name].model):
        return name
    if len({worker.model for worker in workers.values()}) > 1:
        model = model or last_model()
    same = {of: worker for of, worker in workers.items() if worker.model == model}
    if name in workers and not same:
        return name
    return _least_loaded(redis, same or workers)


def loads(redis: Redis, workers: Mapping[str, WorkerView]) -> dict[str, tuple[WorkerView, int]]:
    """For each worker its view, and how many turns it runs or has in its queue."""
    with redis.pipeline(transaction=False) as pipe:
        for worker in workers.values():
            pipe.llen(Queue.redis_queue_namespace_prefix + worker.queue)
        waiting = pipe.execute()
    counted = zip(waiting, workers.values(), strict=True)
    return {worker.name: (worker, n_waiting + worker.running) for n_waiting, worker in counted}


def _least_loaded(redis: Redis, workers: Mapping[str, WorkerView]) -> str | None:
    loaded = ((load / worker.lanes, name) for name, (worker, load) in loads(redis, workers).items())
    return min(loaded, default=(0.0, None))[1]


def _members(redis: Redis) -> set[bytes]:
    members: Any = redis.smembers(keys.workers())
    return set(members)


@lru_cache(maxsize=256)
def _view(entry: bytes) -> WorkerView:
    """Parse an entry, cached: it is read far more often than written."""
    fields_sent = json.loads(entry)
    known = _known(WorkerView, fields_sent)
    lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
    return WorkerView(**known | lists | {"engine": EngineView(**_known(EngineView, fields_sent.get("engine", {})))})


def _known(kind: type, fields_sent: dict[str, Any]) -> dict[str, Any]:
    """The fields that this version knows: during an update workers of another one may be alive."""
    return {field.name: fields_sent[field.name] for field in fields(kind) if field.name in fields_sent}
