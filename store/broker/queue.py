"""Fair queueing of turns (round robin over people), on top of one FIFO queue per worker.

What it does: a person has at most one turn queued or running; their others wait in the database. So a worker's queue,
first in first out, goes round over people. `accept` writes a turn, `deliver` makes its job after the acknowledgement;
`dispatch` moves a person's next turn into a queue: call it after the end of a turn. `queue_place` says how long a
queued turn has still to wait.
The database has the truth, Redis is a copy: when Redis fails, the functions here log it and leave the turn, and
recovery.py finds it. `pause` lets no turn begin, in any process, until `resume`: turns wait in the database, running
ones go on to their end.
What it refuses to know: what a job does. The fencing token (turns/lifecycle.py) makes a job that runs twice harmless.
"""

import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import RedisError

from store import site_state, turns
from store.broker import cancel, eta, events, jobs, keys, registry, routing
from store.db import Database, DatabaseTrouble
from store.errors import Stale, StoreError
from store.quotas import GENEROUS, Quota
from store.turns import BegunTurn, TurnCommand
from store.views import TurnView

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class QueuePlace:
    """Position of a queued turn: turns before it, and the estimated seconds until it starts. None: not known."""

    ahead: int | None = None
    eta_s: float | None = None


def accept(
    db: Database,
    redis: Redis,
    owner_id: str,
    command: TurnCommand,
    now: float | None = None,
    max_waiting: int = 2,
    quota: Quota = GENEROUS,
) -> BegunTurn:
    """Write a turn in one transaction; acknowledge it, then call `deliver`.

    It is queued for its chat's worker if the person has no other unfinished turn, else waiting. Raises what
    `turns.begin_turn` raises.
    """
    return turns.begin_turn(db, owner_id, command, now, max_waiting, _route(db, redis, command.chat_id), quota)


def deliver(db: Database, redis: Redis, begun: BegunTurn, now: float | None = None) -> None:
    """Bring an accepted turn into its worker's queue; for a waiting one `dispatch` picks the person's oldest.

    Without a worker, Redis or the database it waits: `reconcile` comes back to it. The acknowledgement is out, so
    nothing here may fail the command.
    """
    turn = begun.turn
    if turn.state == "queued":
        _make_job(redis, turn)
    elif turn.state == "waiting" and begun.worker is not None:
        try:
            dispatch(db, redis, turn.owner_id, now)
        except DatabaseTrouble as error:
            log.warning("A turn of %s waits for the database: %s", turn.owner_id, error)


def _route(db: Database, redis: Redis, chat_id: str) -> str | None:
    try:
        return routing.route(db, redis, chat_id)
    except RedisError as error:
        log.warning("A turn of chat %s waits for Redis: %s", chat_id, error)
        return None


def _make_job(redis: Redis, turn: TurnView) -> None:
    """Make the job of a queued turn."""
    try:
        if turn.worker is not None and jobs.enqueue(redis, turn.id, turn.worker):
            announce_queued(redis, turn)
    except RedisError as error:
        log.warning("Turn %s waits for Redis: %s", turn.id, error)


def dispatch(db: Database, redis: Redis, owner_id: str, now: float | None = None) -> TurnView | None:
    """Move a person's oldest waiting turn into a worker's queue, unless one of theirs is queued or running.

    Returns the turn that was moved. None also while the queue is paused, and when no worker is there or Redis does not
    answer: `reconcile` comes back to it.
    """
    try:
        waiting = turns.next_waiting(db, owner_id)
        worker = routing.route(db, redis, waiting.chat_id) if waiting else None
        turn = turns.enqueue_next(db, owner_id, worker, now) if worker else None
        if turn is not None:
            _make_job(redis, turn)
        return turn
    except RedisError as error:
        log.warning("A turn of %s waits for Redis: %s", owner_id, error)
        return None


def pause(db: Database, redis: Redis, now: float | None = None) -> tuple[TurnView, ...]:
    """No turn begins from now on; queued turns wait again. Returns those turns, as they were.

    Redis may be away: a worker cannot claim the turn of a job that stays there.
    """
    site_state.set_pause(db, True, now)
    unqueued = turns.unqueue_all(db, now)
    try:
        for turn in unqueued:
            remove_job(redis, turn)
            announce_waiting(redis, turn)
        for worker in sorted({turn.worker for turn in unqueued if turn.worker}):
            announce_moved(redis, worker)
    except RedisError as error:
        log.warning("%d turns wait again, and Redis does not know it: %s", len(unqueued), error)
    return unqueued


def resume(db: Database, redis: Redis, now: float | None = None) -> tuple[TurnView, ...]:
    """End the pause: the next turn of every person is queued, the longest wait first. Returns those turns."""
    site_state.set_pause(db, False, now)
    placed = (dispatch(db, redis, owner_id, now) for owner_id in turns.owners_waiting(db))
    return tuple(turn for turn in placed if turn is not None)


def stop(db: Database, redis: Redis, owner_id: str, turn_id: str, now: float | None = None) -> TurnView:
    """The owner pressed stop: ends a turn that no worker has, raises the flag of a running one.

    Raises NotFound. Redis may be away: the database keeps the stop.
    """
    turn = turns.request_cancel(db, owner_id, turn_id, now)
    try:
        if turn.running:
            cancel.request(redis, turn_id)
        elif turn.state == "cancelled":
            remove_job(redis, turn)
            announce_end(db, redis, turn)
            announce_moved(redis, turn.worker or "")
            dispatch(db, redis, owner_id, now)
    except RedisError as error:
        log.warning("The stop of turn %s waits for Redis: %s", turn_id, error)
    return turn


def queue_place(redis: Redis, turn: TurnView, now: float | None = None) -> QueuePlace:
    """The position of a turn in its queue, and when it is likely to start. Raises RedisError."""
    if turn.state != "queued" or turn.worker is None:
        return QueuePlace()
    with redis.pipeline(transaction=False) as pipe:
        pipe.lpos(jobs.queue_key(turn.worker), turn.id)
        pipe.get(keys.worker(turn.worker))
        ahead, entry = pipe.execute()
    worker = registry.read(entry)
    if ahead is None or worker is None:
        return QueuePlace(ahead)
    age_s = max(0.0, (time.time() if now is None else now) - worker.at)
    busy_s = [seconds + age_s for seconds in worker.busy_s]
    return QueuePlace(ahead, eta.seconds_until_start(ahead, worker.lanes, busy_s, worker.turn_s))


def remove_job(redis: Redis, turn: TurnView) -> None:
    """Remove all that RQ knows about a turn. Never from inside its own job: RQ still writes about it at its end."""
    jobs.remove_job(redis, turn.id, turn.worker)


def announce_end(db: Database, redis: Redis, turn: TurnView) -> None:
    """Append the last event of a turn, from what the database says; nothing if it is there already."""
    try:
        ending = events.ending(turn, turns.result_of(db, turn.id))
        events.append(redis, turn.chat_id, turn.id, turn.attempt, [ending])
    except StoreError as error:
        log.warning("The end of turn %s is not announced: %s", turn.id, error)


def announce_moved(redis: Redis, worker: str) -> None:
    """Publish that the queue of a worker moved: the positions of the turns in it have changed."""
    redis.publish(keys.queues_channel(), json.dumps({"worker": worker}))


def announce_queued(redis: Redis, turn: TurnView) -> None:
    """Append that a turn is queued, and publish that the queue moved."""
    place = queue_place(redis, turn)
    event = {"type": "state", "state": "queued", "ahead": place.ahead, "eta_s": place.eta_s}
    with suppress(Stale):  # a worker has claimed it already
        events.append(redis, turn.chat_id, turn.id, turn.attempt, [event])
    if turn.worker is not None:
        announce_moved(redis, turn.worker)


def announce_waiting(redis: Redis, turn: TurnView) -> None:
    """Append that a turn that was queued waits again."""
    with suppress(Stale):
        events.append(redis, turn.chat_id, turn.id, turn.attempt, [{"type": "state", "state": "waiting"}])
