"""Requeueing: puts turns that had a place in a queue already at the front of one, whatever took the place from them.

What it refuses to know: why a turn lost its place (recovery.py, work_stealing.py).
"""

import logging

from redis import Redis

from store import turns
from store.broker import keys, routing
from store.broker.jobs import enqueue
from store.broker.queue import announce_queued, remove_job
from store.db import Database
from store.views import TurnView

log = logging.getLogger(__name__)


def requeue_at_front(
    db: Database, redis: Redis, lost: list[TurnView], target: str | None, now: float | None
) -> tuple[str, ...]:
    """Requeue turns at the front: of `target`, else of a living worker, else of their own."""
    started_first = sorted(lost, key=lambda turn: (turn.started_at is None, turn.queued_at or 0.0, turn.created_at))
    placed = []
    for turn in reversed(started_first):
        worker = target or routing.route(db, redis, turn.chat_id) or turn.worker
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
