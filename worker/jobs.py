"""The job functions of the RQ queue, by the names in store/broker/jobs.py (its list of allowed jobs).

A job carries an id and nothing else. Jobs are idempotent: whether there is anything to do is decided by the claim in
SQL, so a job that runs twice, too late or for nothing does no harm.
To add a job: its name in store/broker/jobs.py, a function here.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from redis.exceptions import RedisError

from store import turns
from store.broker import queue, registry
from store.errors import StoreError
from worker.attempt import Attempt
from worker.context import LEASE_S, WorkerContext, current_context

log = logging.getLogger(__name__)


def run_turn(turn_id: str) -> None:
    """Run one turn, then dispatch its owner's next one. Called by RQ in a lane."""
    context = current_context()
    if context.draining.is_set():
        return  # still queued in SQL: the end of the drain requeues it
    try:
        claim = turns.claim(context.db, turn_id, context.worker_name, LEASE_S)
    except StoreError as error:
        log.info("turn %s: nothing to do: %s", turn_id, error)
        if error.code == "paused":
            _announce_waiting(context, turn_id)
        return
    _announce_moved(context)
    Attempt(context, claim).run()
    _dispatch_next(context, claim.turn.chat_id, claim.turn.owner_id)


def _dispatch_next(context: WorkerContext, chat_id: str, owner_id: str) -> None:
    """Pin the chat to this worker and dispatch its owner's next turn; `reconcile` repairs it if that fails."""
    try:
        registry.pin(context.redis, [chat_id], context.worker_name, context.engine.model_key)
        queue.dispatch(context.db, context.redis, owner_id)
    except RedisError as error:
        log.warning("the next turn of %s waits for Redis: %s", owner_id, error)
    except Exception:
        log.exception("the next turn of %s waits for reconcile", owner_id)


def _announce_moved(context: WorkerContext) -> None:
    """Tell waiting turns that they have moved up; without Redis they learn it later."""
    with suppress(RedisError):
        queue.announce_moved(context.redis, context.worker_name)


def _announce_waiting(context: WorkerContext, turn_id: str) -> None:
    """Tell browsers that the turn waits again: the queue was paused after it was enqueued."""
    with suppress(RedisError):
        queue.announce_waiting(context.redis, turns.get_turn(context.db, turn_id))
