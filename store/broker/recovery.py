"""Recovery: brings queued and running turns back to a worker after a worker, its queue or all of Redis was lost.

What it does: `reconcile` compares database and Redis and removes the difference: call it every few seconds in a worker,
and once after the worker was announced. `reconcile_own` is for the start of a worker, `take_over` for the end of
another one; both hold the lock of that worker, so it is dead. `reconcile_rq` removes what RQ keeps about ended turns.
The database has the truth, Redis is a copy. A turn that lost its place goes to the front of a queue, started turns
before the others.
What it refuses to know: how a caller finds out that a worker is dead, and which waiting turns move to an idle worker
(work_stealing.py).
To add a case of loss: what finds it in `reconcile`, and a test in tests/store/test_recovery.py that makes it happen.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from redis import Redis
from redis.exceptions import LockError

from store import turns
from store.broker import events, jobs, keys, registry
from store.broker.jobs import places
from store.broker.queue import announce_end, dispatch
from store.broker.requeue import requeue_at_front
from store.broker.work_stealing import steal_work
from store.db import Database
from store.errors import NotFound, Stale
from store.views import TurnView

log = logging.getLogger(__name__)

LOCK_S = 15
ENQUEUED_WITHIN_S = 1.5  # between the database's word that a turn is queued and its job in Redis
UNCLAIMED_GRACE_S = 5.0
RENEWED_WITHIN_S = 0.25  # a living worker renews its leases so soon once the database takes writes again
ANNOUNCE_AFTER_S = 1.5  # a worker tries again twice a second
ANNOUNCE_FOR_S = 120.0
SEEN_FOR_S = 60
RQ_ENDS_WITHIN_S = 10.0


def reconcile_own(db: Database, redis: Redis, worker: str, now: float | None = None) -> tuple[str, ...]:
    """At the start of a worker (it holds its lock): requeue the turns of its dead predecessor at the front.

    Returns the ids of the turns that came back into the queue, in the order of service.
    """
    unfinished = turns.unfinished(db, worker=worker)
    lost = _give_back(db, redis, (turn for turn in unfinished if turn.running), now)
    queued = [turn for turn in unfinished if turn.state == "queued"]
    where = places(redis, worker, (turn.id for turn in queued))
    lost += [turn for turn in queued if where[turn.id] != "queued"]
    return requeue_at_front(db, redis, lost, worker, now)


def take_over(db: Database, redis: Redis, worker: str, now: float | None = None) -> tuple[str, ...]:
    """Another worker is dead (the caller holds its lock): requeue its turns at the front of living workers.

    Returns the ids of the turns, in the order of service.
    """
    registry.retire(redis, worker)
    unfinished = turns.unfinished(db, worker=worker)
    lost = _give_back(db, redis, (turn for turn in unfinished if turn.running), now)
    return requeue_at_front(db, redis, [*lost, *(turn for turn in unfinished if turn.state == "queued")], None, now)


def reconcile(db: Database, redis: Redis, now: float | None = None) -> tuple[str, ...]:
    """Make Redis agree with the database. One process at a time: the others return at once.

    In this order: turns whose lease has expired, queued turns without a job (Redis was emptied, a lane died between two
    steps) and those in the queue of a dead worker go to the front of a queue; turns that wait long behind a busy worker
    go to an idle one; people without a queued turn get their next one queued; unannounced ends are announced. Returns
    the ids that were put into a queue.
    """
    now = time.time() if now is None else now
    with _lock(redis) as is_held:
        if not is_held:
            return ()
        back = _give_back(db, redis, _dead(db, now), now, expired_at=now)
        known = {turn.id for turn in back}
        back += [turn for turn in _misplaced(db, redis, now) if turn.id not in known]
        placed = requeue_at_front(db, redis, back, None, now) + steal_work(db, redis, now)
        dispatched = [dispatch(db, redis, owner_id, now) for owner_id in turns.owners_waiting(db)]
        _announce_ends(db, redis, now)
    return placed + tuple(turn.id for turn in dispatched if turn is not None)


def is_due(redis: Redis, every_s: float) -> bool:
    """Whether the next round is due: a rate limit over all workers. True also claims the round."""
    return bool(redis.set(keys.last_reconcile(), "1", nx=True, px=max(1, round(every_s * 900))))


def _dead(db: Database, now: float) -> tuple[TurnView, ...]:
    """The running turns whose lease has run out; none where it could not be renewed, because somebody kept the database
    from taking writes: the next round judges them."""
    expired = turns.expired_leases(db, now)
    return expired if expired and db.wait_to_write() <= RENEWED_WITHIN_S else ()


def _give_back(
    db: Database, redis: Redis, running: Iterable[TurnView], now: float | None, expired_at: float | None = None
) -> list[TurnView]:
    """Take turns from their dead workers; returns the requeued ones (the others were to be cancelled)."""
    requeued = []
    for turn in running:
        with suppress(Stale):  # it ended or was claimed meanwhile
            after = turns.give_back(db, turn.id, turn.attempt, now, crashed=True, expired_at=expired_at)
            if after.ended:
                announce_end(db, redis, after)
            else:
                requeued.append(after)
    return requeued


def _misplaced(db: Database, redis: Redis, now: float) -> list[TurnView]:
    """The queued turns that no living worker will pop."""
    by_worker = defaultdict(list)
    for turn in turns.unfinished(db):
        if turn.state == "queued" and turn.worker:
            by_worker[turn.worker].append(turn)
    alive = registry.alive(redis)
    misplaced = []
    for worker, queued in by_worker.items():
        where = places(redis, worker, (turn.id for turn in queued))
        gone = bool(alive) and worker not in alive
        misplaced += [turn for turn in queued if gone or _lost(redis, turn, where[turn.id], now)]
    return misplaced


def _lost(redis: Redis, turn: TurnView, place: str, now: float) -> bool:
    """Whether the job of a queued turn is lost: missing and not just being made, or popped and unclaimed for long."""
    if place != "popped_unclaimed":
        return place == "missing" and _past(turn.updated_at, now, ENQUEUED_WITHIN_S)
    return _past(_first_seen(redis, keys.popped_unclaimed(turn.id), now), now, UNCLAIMED_GRACE_S)


def _past(then: float, now: float, seconds: float) -> bool:
    """Whether more than these seconds have passed; also True for a time in the future (the clock was set back)."""
    return not 0 <= now - then <= seconds


def reconcile_rq(db: Database, redis: Redis) -> None:
    """Garbage collection in RQ: remove what it keeps about ended turns, in the queues of living and gone workers."""
    for name in jobs.known_workers(redis):
        queue = jobs.open_queue(redis, name)
        queue.failed_job_registry.cleanup()  # unlike that of started jobs, this one only drops what has expired
        for turn_id in jobs.popped(redis, name):
            if _long_over(db, turn_id):
                jobs.remove_job(redis, turn_id, name)
        jobs.forget_lanes(redis, name)
    jobs.forget_workers(redis, registry.alive(redis))


def _long_over(db: Database, turn_id: str) -> bool:
    """Whether RQ missed the end of this turn: its lane lost Redis, or was frozen, at that moment."""
    try:
        turn = turns.get_turn(db, turn_id)
    except NotFound:
        return True
    return turn.ended_at is not None and _past(turn.ended_at, time.time(), RQ_ENDS_WITHIN_S)


def _announce_ends(db: Database, redis: Redis, now: float) -> None:
    """Announce ends without an event, as after kill -9 between the commit and its event.

    A living worker announces its own, with the text before it: its time counts from the moment when Redis takes writes
    again, not from the end of the turn.
    """
    ended = turns.recently_ended(db, now - ANNOUNCE_FOR_S, now)
    for turn_id, is_announced in zip(ended, events.has_ended(redis, ended), strict=True):
        if not is_announced and _past(_first_seen(redis, keys.end_unannounced(turn_id), now), now, ANNOUNCE_AFTER_S):
            with suppress(NotFound):  # deleted with its owner meanwhile
                announce_end(db, redis, turns.get_turn(db, turn_id))


def _first_seen(redis: Redis, key: str, now: float) -> float:
    """When `reconcile` first saw this, now if never before. Raises RedisError, also when Redis takes no writes."""
    redis.set(key, repr(now), nx=True, ex=SEEN_FOR_S)
    first_seen = redis.get(key)
    return now if first_seen is None else float(first_seen)


@contextmanager
def _lock(redis: Redis) -> Iterator[bool]:
    lock = redis.lock(keys.reconcile_lock(), timeout=LOCK_S, blocking=False)
    is_held = lock.acquire()
    try:
        yield is_held
    finally:
        if is_held:
            with suppress(LockError):  # it took longer than LOCK_S, or Redis was emptied: nothing to release
                lock.release()
