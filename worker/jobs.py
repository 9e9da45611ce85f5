"""The job functions, by the names under which they are enqueued (store/broker/jobs.py has the list of allowed names).

A job carries an id and nothing else. Whether it still has to be done is decided here, by the claim in SQL: a job that
runs twice, too late or for nothing is harmless.
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
    """Do one turn, then bring its owner's next one into a queue. Called by RQ in a lane."""
    context = current_context()
    if context.draining.is_set():
        return  # still queued in SQL: the end of the drain puts it into a queue again
    try:
        claim = turns.claim(context.db, turn_id, context.worker_name, LEASE_S)
    except StoreError as error:
        log.info("turn %s: nothing to do: %s", turn_id, error)
        if error.code == "paused":
            _waits_again(context, turn_id)
        return
    _moved(context)
    Attempt(context, claim).run()
    _afterwards(context, claim.turn.chat_id, claim.turn.owner_id)


def _afterwards(context: WorkerContext, chat_id: str, owner_id: str) -> None:
    """What would be nice to happen now, and is repaired by `reconcile` if it does not."""
    try:
        registry.pin(context.redis, [chat_id], context.worker_name)
        queue.dispatch(context.db, context.redis, owner_id)
    except RedisError as error:
        log.warning("the next turn of %s waits for Redis: %s", owner_id, error)
    except Exception:
        log.exception("the next turn of %s waits for the reaper", owner_id)


def _moved(context: WorkerContext) -> None:
    """Those behind the turn that was just claimed have moved up; without Redis they learn it later."""
    with suppress(RedisError):
        queue.announce_moved(context.redis, context.worker_name)


def _waits_again(context: WorkerContext, turn_id: str) -> None:
    """The queue was paused while this job was on its way; without Redis the browsers learn it from their next look."""
    with suppress(RedisError):
        queue.announce_waiting(context.redis, turns.get_turn(context.db, turn_id))
