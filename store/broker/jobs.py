"""RQ jobs of turns: an allow-list of one function, enqueued by name, with the turn's id as its only argument.

What it does: `TurnJob` runs functions of ALLOWED only, whatever is written into Redis, and follows no other name found
there (callbacks, webhooks, instances). `enqueue` and `remove_job` know every key that RQ 3.0.0 keeps about a job; a
test holds them to it.
What it refuses to know: the database, and when a job is due (queue.py).
Never call cleanup(), count or len() of a StartedJobRegistry: three callers at once run jobs twice.
"""

import logging
import re
from collections.abc import Container, Iterable
from typing import Any, NoReturn

from redis import Redis
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.results import Result
from rq.serializers import JSONSerializer
from rq.worker_registration import clean_worker_registry

from store.broker import keys

log = logging.getLogger(__name__)

RUN_TURN = "worker.jobs.run_turn"
ALLOWED = frozenset({RUN_TURN})
JOB_TIMEOUT_S = 3_600
FAILURE_TTL_S = 60
_TURN_ID = re.compile(r"[0-9a-f]{32}")


class ForbiddenJob(ValueError):
    """A job that is not on the allow-list: it is not run."""


class TurnJob(Job):  # type: ignore[misc]
    """A job of one of the ALLOWED functions, with its own id as the only argument."""

    @classmethod
    def create(cls, func: Any, *args: Any, **kwargs: Any) -> Job:
        """Make a job, for Queue.enqueue. Raises ForbiddenJob."""
        job = super().create(func, *args, **kwargs)
        _refuse_strangers(job)
        return job

    @property
    def func(self) -> Any:
        """The function, imported only after its name was found in the list. Raises ForbiddenJob."""
        _refuse_strangers(self)
        return super().func

    @property
    def success_callback(self) -> None:
        """We have none, and run none that Redis may name."""

    @property
    def failure_callback(self) -> None:
        """We have none, and run none that Redis may name."""

    @property
    def stopped_callback(self) -> None:
        """We have none, and run none that Redis may name."""

    def send_webhooks(self, *_args: Any, **_kwargs: Any) -> None:
        """We have none, and call none that Redis may name."""


def _refuse_strangers(job: Job) -> None:
    name, instance, args, kwargs = job.func_name, job.instance, job.args, job.kwargs
    if name not in ALLOWED or instance is not None:
        _forbid(job, f"{name!r} is not on the list of allowed functions")
    if kwargs or list(args) != [job.id] or not _TURN_ID.fullmatch(job.id):
        _forbid(job, "its only argument must be its own id, 32 characters of 0-9 and a-f")


def _forbid(job: Job, why: str) -> NoReturn:
    raise ForbiddenJob(f"Job {job.id} is not run: {why}. Look for whoever else writes to this Redis.")


def open_queue(redis: Redis, worker: str) -> Queue:
    """The RQ queue of a worker. Lanes and enqueuers must agree on its job class and serializer: take it from here."""
    return Queue(keys.queue(worker), connection=redis, job_class=TurnJob, serializer=JSONSerializer)


def queue_key(worker: str) -> str:
    """The Redis key of that queue: a list of job ids."""
    return f"{Queue.redis_queue_namespace_prefix}{keys.queue(worker)}"


def enqueue(redis: Redis, turn_id: str, worker: str, *, at_front: bool = False) -> bool:
    """Put a turn into a worker's queue, once: False when a job of this id exists, wherever it is."""
    try:
        open_queue(redis, worker).enqueue_call(
            RUN_TURN,
            args=[turn_id],
            job_id=turn_id,
            unique=True,
            at_front=at_front,
            timeout=JOB_TIMEOUT_S,
            result_ttl=0,
            failure_ttl=FAILURE_TTL_S,
            description=f"turn {turn_id}",
        )
    except DuplicateJobError:
        return False
    return True


def remove_job(redis: Redis, turn_id: str, worker: str | None = None) -> None:
    """Remove all that RQ knows about a turn: queue, intermediate queue, registries, executions, the job itself.

    The queue is the one that the job names, and that of `worker`: a job whose hash is gone names none. Never remove a
    job from inside itself: RQ still writes about it when it ends.
    """
    origin: Any = redis.hget(Job.key_for(turn_id), "origin")
    names = {origin.decode()} if origin else set()
    if worker is not None:
        names.add(keys.queue(worker))
    queues = [Queue(name, connection=redis, job_class=TurnJob, serializer=JSONSerializer) for name in sorted(names)]
    executions = {entry for queue in queues for entry in _executions(queue) if entry.split(":")[0] == turn_id}
    with redis.pipeline() as pipe:
        for queue in queues:
            pipe.lrem(queue.key, 0, turn_id)
            pipe.lrem(queue.intermediate_queue_key, 0, turn_id)
            pipe.delete(queue.intermediate_queue.get_first_seen_key(turn_id))
            pipe.zrem(FailedJobRegistry(queue=queue).key, turn_id)
            for entry in executions:
                pipe.zrem(StartedJobRegistry(queue=queue).key, entry)
        for entry in executions:
            pipe.delete(Execution.from_composite_key(entry, redis).key)
        pipe.delete(ExecutionRegistry(turn_id, redis).key, Job.key_for(turn_id), Result.get_key(turn_id))
        pipe.execute()


def position(redis: Redis, turn_id: str, worker: str) -> int | None:
    """How many jobs stand before this one in the worker's queue; None when it is not in it."""
    place: Any = redis.lpos(queue_key(worker), turn_id)
    return None if place is None else int(place)


def places(redis: Redis, worker: str, turn_ids: Iterable[str]) -> dict[str, str]:
    """Where the job of each turn is: "queued", "popped_unclaimed" (being run, or lost with its lane) or "missing"."""
    queue = open_queue(redis, worker)
    queued = _texts(redis.lrange(queue.key, 0, -1))
    gone = popped(redis, worker)
    ids = list(turn_ids)
    with redis.pipeline(transaction=False) as pipe:
        for turn_id in ids:
            pipe.exists(Job.key_for(turn_id))
        known = {turn_id for turn_id, exists in zip(ids, pipe.execute(), strict=True) if exists}
    return {turn_id: _place(turn_id, known, queued, gone) for turn_id in ids}


def popped(redis: Redis, worker: str) -> set[str]:
    """The turns whose job was popped: being run, lost with its lane, or dropped because its hash was gone."""
    queue = open_queue(redis, worker)
    between = _texts(redis.lrange(queue.intermediate_queue_key, 0, -1))
    return between | {entry.split(":")[0] for entry in _executions(queue)}


def known_workers(redis: Redis) -> tuple[str, ...]:
    """Names of the workers, alive or gone, whose queue RQ knows."""
    names: Any = redis.smembers(Queue.redis_queues_keys)
    queues = (name.decode().removeprefix(Queue.redis_queue_namespace_prefix) for name in names)
    return tuple(sorted(name.removeprefix(keys.queue("")) for name in queues if name.startswith(keys.queue(""))))


def forget_lanes(redis: Redis, worker: str) -> None:
    """Remove the names of dead lanes from RQ, whose lists of names would grow without end."""
    clean_worker_registry(open_queue(redis, worker))


def forget_workers(redis: Redis, alive: Container[str]) -> None:
    """Remove the empty queues of workers that are gone from RQ."""
    for worker in known_workers(redis):
        queue = open_queue(redis, worker)
        kept = (queue.key, queue.intermediate_queue_key, queue.started_job_registry.key, queue.failed_job_registry.key)
        if worker not in alive and not redis.exists(*kept):
            redis.srem(Queue.redis_queues_keys, queue.key)


def _place(turn_id: str, known: set[str], queued: set[str], popped: set[str]) -> str:
    if turn_id not in known:
        return "missing"
    if turn_id in queued:
        return "queued"
    return "popped_unclaimed" if turn_id in popped else "missing"


def _executions(queue: Queue) -> list[str]:
    """`<job id>:<execution id>` of every job that RQ takes to be running; one per lane, alive or dead."""
    entries: Any = queue.connection.zrange(StartedJobRegistry(queue=queue).key, 0, -1)
    return [entry.decode() for entry in entries]


def _texts(items: Any) -> set[str]:
    return {item.decode() for item in items}
