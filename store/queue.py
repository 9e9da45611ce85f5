"""How turns reach a worker, and how they get there again after anything was lost.

What it does: a person has at most one turn queued or running; their others wait in the database. So a worker's queue,
first in first out, goes round over people. `dispatch` moves a person's next turn into a queue: call it after a submit
and after the end of a turn. `reconcile` compares database and Redis and repairs the difference: call it every few
seconds in a worker, and once after the worker was announced. `recover` is for the start of a worker.
The database is right, Redis is a copy: when Redis fails, everything here logs, leaves the turn and is repaired later.
What it refuses to know: what a job does. Fencing (turns.py) makes a job that runs twice harmless.
Order: whoever lost a place gets one at the front, those who had started before those who had not.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from redis import Redis
from redis.exceptions import LockError, RedisError

from store import cancel, events, jobs, keys, registry, turns
from store.chats import get_revision
from store.db import Database
from store.errors import Stale, StoreError
from store.jobs import ALLOWED, RUN_TURN, ForbiddenJob, TurnJob, enqueue, open_queue, places
from store.views import TurnView

__all__ = [
    "ALLOWED",
    "RUN_TURN",
    "ForbiddenJob",
    "TurnJob",
    "announce_end",
    "dispatch",
    "enqueue",
    "open_queue",
    "position",
    "reconcile",
    "recover",
    "remove_job",
    "stop",
]

log = logging.getLogger(__name__)

LOCK_S = 15
LIMBO_GRACE_S = 5.0
ANNOUNCE_AFTER_S = 2.0
ANNOUNCE_FOR_S = 120.0


def dispatch(db: Database, redis: Redis, owner_id: str, now: float | None = None) -> TurnView | None:
    """Move a person's oldest waiting turn into a worker's queue, unless one of theirs is queued or running.

    Returns the turn that was moved. None also when no worker is there or Redis does not answer: `reconcile` comes back
    to it.
    """
    try:
        waiting = turns.next_waiting(db, owner_id)
        worker = registry.route(redis, waiting.chat_id) if waiting else None
        turn = turns.enqueue_next(db, owner_id, worker, now) if worker else None
        if turn is not None and worker is not None:
            enqueue(redis, turn.id, worker)
            _say_queued(redis, turn)
        return turn
    except RedisError as error:
        log.warning("A turn of %s waits for Redis: %s", owner_id, error)
        return None


def stop(db: Database, redis: Redis, owner_id: str, turn_id: str, now: float | None = None) -> TurnView:
    """The owner pressed stop: ends a turn that no worker has, raises the flag of a running one.

    Raises NotFound. Redis may be away: the database keeps the wish.
    """
    turn = turns.request_cancel(db, owner_id, turn_id, now)
    try:
        if turn.running:
            cancel.request(redis, turn_id)
        elif turn.state == "cancelled":
            remove_job(redis, turn)
            announce_end(db, redis, turn)
            dispatch(db, redis, owner_id, now)
    except RedisError as error:
        log.warning("The stop of turn %s waits for Redis: %s", turn_id, error)
    return turn


def position(redis: Redis, turn: TurnView) -> int | None:
    """How many turns stand before this one in its queue; None when it is not queued."""
    return jobs.position(redis, turn.id, turn.worker) if turn.state == "queued" and turn.worker else None


def remove_job(redis: Redis, turn: TurnView) -> None:
    """Remove all that RQ knows about a turn. Never from inside its own job: RQ still writes about it at its end."""
    jobs.remove_job(redis, turn.id, turn.worker)


def announce_end(db: Database, redis: Redis, turn: TurnView) -> None:
    """Tell the browsers that a turn has ended, from what the database says; does nothing when they know."""
    try:
        message = turns.reply_to(db, turn.id)
        revision = message.revision if message else get_revision(db, turn.chat_id)
        events.append(redis, turn.chat_id, turn.id, turn.attempt, [events.ending(turn, message, revision)])
    except StoreError as error:
        log.warning("The end of turn %s is not announced: %s", turn.id, error.message)


def recover(db: Database, redis: Redis, worker: str, now: float | None = None) -> tuple[str, ...]:
    """At the start of a worker that holds its lock, so its predecessor is dead: put what that one had at the front.

    Returns the ids of the turns that came back into the queue, in the order of service.
    """
    mine = turns.unfinished(db, worker=worker)
    lost = _give_back(db, redis, (turn for turn in mine if turn.running), now)
    queued = [turn for turn in mine if turn.state == "queued"]
    where = places(redis, worker, (turn.id for turn in queued))
    lost += [turn for turn in queued if where[turn.id] != "queued"]
    return _put_back(db, redis, lost, worker, now)


def reconcile(db: Database, redis: Redis, now: float | None = None) -> tuple[str, ...]:
    """Bring Redis to what the database says. One process at a time: the others return at once.

    Turns whose lease is over go back to the front of a queue, so do queued turns without a job (Redis was emptied, a
    lane died between two steps) and those in the queue of a worker that is gone; waiting people without a queued turn
    get their next one in; ends that nobody announced are announced. Returns the ids that were put into a queue.
    """
    now = time.time() if now is None else now
    with _lock(redis) as held:
        if not held:
            return ()
        back = _give_back(db, redis, turns.expired(db, now), now)
        known = {turn.id for turn in back}
        back += [turn for turn in _misplaced(db, redis, now) if turn.id not in known]
        placed = _put_back(db, redis, back, None, now)
        dispatched = [dispatch(db, redis, owner_id, now) for owner_id in turns.owners_waiting(db)]
        _announce_ends(db, redis, now)
    return placed + tuple(turn.id for turn in dispatched if turn is not None)


def _give_back(db: Database, redis: Redis, running: Iterable[TurnView], now: float | None) -> list[TurnView]:
    """Take turns from whoever had them; returns those that are queued again (the others were to be cancelled)."""
    back = []
    for turn in running:
        with suppress(Stale):  # it ended or was claimed meanwhile: all is well
            after = turns.give_back(db, turn.id, turn.attempt, now)
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
        found += [turn for turn in queued if gone or _lost(redis, turn.id, where[turn.id], now)]
    return found


def _lost(redis: Redis, turn_id: str, place: str, now: float) -> bool:
    """Missing is lost at once; in limbo (a lane has popped it and not claimed it) only after some seconds."""
    if place != "limbo":
        return place == "missing"
    redis.set(keys.limbo(turn_id), repr(now), nx=True, ex=60)
    first_seen = redis.get(keys.limbo(turn_id))
    return first_seen is not None and now - float(first_seen) > LIMBO_GRACE_S


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
        redis.delete(keys.limbo(turn.id))
        enqueue(redis, turn.id, worker, at_front=True)
        placed.append(turn)
    placed.reverse()
    for turn in placed:
        log.info("Turn %s is queued again after attempt %d.", turn.id, turn.attempt)
        _say_queued(redis, turn)
    return tuple(turn.id for turn in placed)


def _say_queued(redis: Redis, turn: TurnView) -> None:
    event = {"type": "state", "state": "queued", "ahead": position(redis, turn)}
    with suppress(Stale):  # somebody works on it already
        events.append(redis, turn.chat_id, turn.id, turn.attempt, [event])


def _announce_ends(db: Database, redis: Redis, now: float) -> None:
    ended = turns.recently_ended(db, now - ANNOUNCE_FOR_S, now - ANNOUNCE_AFTER_S)
    known = events.has_ended(redis, [turn.id for turn in ended])
    for turn, told in zip(ended, known, strict=True):
        if not told:
            announce_end(db, redis, turn)


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
