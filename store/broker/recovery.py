"""How turns reach a worker again after anything was lost: a worker, its queue, all of Redis.

What it does: `reconcile` compares database and Redis and repairs the difference: call it every few seconds in a worker,
and once after the worker was announced. `recover` is for the start of a worker, `take_over` for the end of another one;
both know that the worker is dead because they hold its lock. `sweep` takes out what RQ keeps about turns that are over.
The database is right, Redis is a copy.
What it refuses to know: how one finds out that a worker is dead.
Order: whoever lost a place gets one at the front, those who had started before those who had not.
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
from store.broker.jobs import enqueue, places
from store.broker.queue import announce_end, announce_queued, dispatch, remove_job
from store.db import Database
from store.errors import NotFound, Stale
from store.views import TurnView

log = logging.getLogger(__name__)

LOCK_S = 15
ENQUEUED_WITHIN_S = 1.5  # between the database's word that a turn is queued and its job in Redis
UNCLAIMED_GRACE_S = 5.0
PATIENCE_S = 5.0  # how long a pinned turn waits for its worker while another one has nothing to do
ANNOUNCE_AFTER_S = 1.5  # a worker tries again twice a second
ANNOUNCE_FOR_S = 120.0
SEEN_FOR_S = 60
RQ_ENDS_WITHIN_S = 10.0


def reconcile_own(db: Database, redis: Redis, worker: str, now: float | None = None) -> tuple[str, ...]:
    """At the start of a worker that holds its lock, so its predecessor is dead: put what that one had at the front.

    Returns the ids of the turns that came back into the queue, in the order of service.
    """
    mine = turns.unfinished(db, worker=worker)
    lost = _give_back(db, redis, (turn for turn in mine if turn.running), now)
    queued = [turn for turn in mine if turn.state == "queued"]
    where = places(redis, worker, (turn.id for turn in queued))
    lost += [turn for turn in queued if where[turn.id] != "queued"]
    return _put_back(db, redis, lost, worker, now)


def take_over(db: Database, redis: Redis, worker: str, now: float | None = None) -> tuple[str, ...]:
    """Another worker is dead (the caller holds its lock): put all that it had at the front of living ones.

    Returns the ids of the turns, in the order of service.
    """
    registry.retire(redis, worker)
    mine = turns.unfinished(db, worker=worker)
    lost = _give_back(db, redis, (turn for turn in mine if turn.running), now)
    return _put_back(db, redis, [*lost, *(turn for turn in mine if turn.state == "queued")], None, now)


def reconcile(db: Database, redis: Redis, now: float | None = None) -> tuple[str, ...]:
    """Bring Redis to what the database says. One process at a time: the others return at once.

    Turns whose lease is over go back to the front of a queue, so do queued turns without a job (Redis was emptied, a
    lane died between two steps) and those in the queue of a worker that is gone; who waits for long behind a busy
    worker goes to one that has nothing to do; waiting people without a queued turn get their next one in; ends that
    nobody announced are announced. Returns the ids that were put into a queue.
    """
    now = time.time() if now is None else now
    with _lock(redis) as held:
        if not held:
            return ()
        back = _give_back(db, redis, turns.expired_leases(db, now), now)
        known = {turn.id for turn in back}
        back += [turn for turn in _misplaced(db, redis, now) if turn.id not in known]
        placed = _put_back(db, redis, back, None, now) + _relieve(db, redis, now)
        dispatched = [dispatch(db, redis, owner_id, now) for owner_id in turns.owners_waiting(db)]
        _announce_ends(db, redis, now)
    return placed + tuple(turn.id for turn in dispatched if turn is not None)


def is_due(redis: Redis, every_s: float) -> bool:
    """Whether nobody has begun a round within this time: who asks and hears yes has begun one."""
    return bool(redis.set(keys.last_reconcile(), "1", nx=True, px=max(1, round(every_s * 900))))


def _give_back(db: Database, redis: Redis, running: Iterable[TurnView], now: float | None) -> list[TurnView]:
    """Take turns from whoever had them; returns those that are queued again (the others were to be cancelled)."""
    back = []
    for turn in running:
        with suppress(Stale):  # it ended or was claimed meanwhile: all is well
            after = turns.give_back(db, turn.id, turn.attempt, now, crashed=True)
            if after.ended:
                announce_end(db, redis, after)
            else:
                back.append(after)
    return back


def _misplaced(db: Database, redis: Redis, now: float) -> list[TurnView]:
    """The queued turns that no living worker would come to."""
    by_worker = defaultdict(list)
    for turn in turns.unfinished(db):
        if turn.state == "queued" and turn.worker:
            by_worker[turn.worker].append(turn)
    alive = registry.alive(redis)
    found = []
    for worker, queued in by_worker.items():
        where = places(redis, worker, (turn.id for turn in queued))
        gone = bool(alive) and worker not in alive
        found += [turn for turn in queued if gone or _lost(redis, turn, where[turn.id], now)]
    return found


def _lost(redis: Redis, turn: TurnView, place: str, now: float) -> bool:
    """Missing is lost, unless its job is just being made; popped and unclaimed only after some seconds."""
    if place != "popped_unclaimed":
        return place == "missing" and _past(turn.updated_at, now, ENQUEUED_WITHIN_S)
    return _past(_first_seen(redis, keys.popped_unclaimed(turn.id), now), now, UNCLAIMED_GRACE_S)


def _past(then: float, now: float, seconds: float) -> bool:
    """Whether more than these seconds have passed; what lies ahead was written before the clock was set back."""
    return not 0 <= now - then <= seconds


def _relieve(db: Database, redis: Redis, now: float) -> tuple[str, ...]:
    """Pinning must starve nobody: who has waited for long goes to a worker of the same model with an idle lane.

    Reading a chat again costs a few seconds, waiting behind others may cost minutes.
    """
    alive = registry.alive(redis)
    idle = {name: worker.lanes - load for name, (worker, load) in registry.loads(redis, alive).items()}
    moved: tuple[str, ...] = ()
    for turn in turns.unfinished(db) if len(alive) > 1 and any(n > 0 for n in idle.values()) else ():
        here = alive.get(turn.worker or "")
        if here is None or turn.state != "queued" or now - (turn.queued_at or now) < PATIENCE_S or idle[here.name] > 0:
            continue
        target = next((name for name in idle if idle[name] > 0 and alive[name].model == here.model), None)
        if target is not None and jobs.position(redis, turn.id, here.name) is not None:
            idle[target] -= 1
            moved += _put_back(db, redis, [turn], target, now)
    return moved


def _put_back(
    db: Database, redis: Redis, lost: list[TurnView], target: str | None, now: float | None
) -> tuple[str, ...]:
    """Queue turns again at the front: of `target`, else of a living worker, else where they were."""
    started_first = sorted(lost, key=lambda turn: (turn.started_at is None, turn.queued_at or 0.0, turn.created_at))
    placed = []
    for turn in reversed(started_first):
        worker = target or registry.route(redis, turn.chat_id) or turn.worker
        if worker is None or not turns.assign(db, turn.id, worker, now):
            continue  # it ended or was claimed meanwhile
        remove_job(redis, turn)
        redis.delete(keys.popped_unclaimed(turn.id))
        enqueue(redis, turn.id, worker, at_front=True)
        placed.append(turn)
    placed.reverse()
    for turn in placed:
        log.info("Turn %s is queued again after attempt %d.", turn.id, turn.attempt)
        announce_queued(redis, turn)
    return tuple(turn.id for turn in placed)


def reconcile_rq(db: Database, redis: Redis) -> None:
    """Take out what RQ keeps about turns that are over, in the queues of workers of today and of yesterday."""
    for name in jobs.known_workers(redis):
        queue = jobs.open_queue(redis, name)
        queue.failed_job_registry.cleanup()  # unlike that of started jobs, this one only drops what has expired
        for turn_id in jobs.popped(redis, name):
            if _long_over(db, turn_id):
                jobs.remove_job(redis, turn_id, name)
        jobs.forget_lanes(redis, name)
    jobs.forget_workers(redis, registry.alive(redis))


def _long_over(db: Database, turn_id: str) -> bool:
    """Whether RQ missed the end of this turn: its lane lost Redis, or was frozen, while it ended."""
    try:
        turn = turns.get_turn(db, turn_id)
    except NotFound:
        return True
    return turn.ended_at is not None and _past(turn.ended_at, time.time(), RQ_ENDS_WITHIN_S)


def _announce_ends(db: Database, redis: Redis, now: float) -> None:
    """Ends that nobody told, as after kill -9 between the commit and its event.

    A living worker tells its own, with the text before it: it gets its time from the moment when Redis takes writes
    again, not from the end of the turn.
    """
    ended = turns.recently_ended(db, now - ANNOUNCE_FOR_S, now)
    for turn_id, told in zip(ended, events.has_ended(redis, ended), strict=True):
        if not told and _past(_first_seen(redis, keys.end_unannounced(turn_id), now), now, ANNOUNCE_AFTER_S):
            with suppress(NotFound):  # its owner has gone meanwhile, and it with them
                announce_end(db, redis, turns.get_turn(db, turn_id))


def _first_seen(redis: Redis, key: str, now: float) -> float:
    """When the reaper first met this, now if never before. Raises RedisError, also when Redis takes no writes."""
    redis.set(key, repr(now), nx=True, ex=SEEN_FOR_S)
    first_seen = redis.get(key)
    return now if first_seen is None else float(first_seen)


@contextmanager
def _lock(redis: Redis) -> Iterator[bool]:
    lock = redis.lock(keys.reconcile_lock(), timeout=LOCK_S, blocking=False)
    held = lock.acquire()
    try:
        yield held
    finally:
        if held:
            with suppress(LockError):  # it took longer than LOCK_S, or Redis was emptied: nothing to release
                lock.release()
