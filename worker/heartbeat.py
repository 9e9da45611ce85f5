"""What a worker does beside its turns, as functions that `Ticker` threads call.

`renew_leases` (SQL only: it must go on while Redis is away), `watch_cancel_flags` (Redis only), `announce` (the
registry), `reap` (what dead workers and lost connections left, see store/queue.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from store import cancel, jobs, queue, registry, turns
from store.errors import NotFound
from worker.desk import LEASE_S, Desk
from worker.running import StopReason

RENEW_EVERY_S = 1.0
FLAGS_EVERY_S = 0.05
ANNOUNCE_EVERY_S = 1.0
REAP_EVERY_S = 2.0
RQ_ENDS_WITHIN_S = 10.0


def renew_leases(desk: Desk) -> None:
    """Keep the leases of the running turns; stop those that others own now and those that should be cancelled."""
    running = desk.running.all()
    if not running:
        return
    now = time.time()
    held = turns.renew(desk.db, {turn.turn_id: turn.attempt for turn in running}, now + LEASE_S, now)
    unwanted = {turn.id for turn in turns.unfinished(desk.db, worker=desk.worker_name) if turn.cancel_requested}
    for turn in running:
        if turn.turn_id not in held:
            turn.stop(StopReason.STALE)
        elif turn.turn_id in unwanted:
            turn.stop(StopReason.CANCELLED)


def watch_cancel_flags(desk: Desk) -> None:
    """Stop the running turns whose owner pressed stop."""
    running = desk.running.all()
    flagged = cancel.requested(desk.redis, [turn.turn_id for turn in running])
    for turn in running:
        if turn.turn_id in flagged:
            turn.stop(StopReason.CANCELLED)


def announce(desk: Desk, lanes: int, resident: Iterable[str]) -> None:
    """Say in the registry that this worker is there and what it holds."""
    if desk.draining.is_set():
        return
    view = registry.WorkerView(
        name=desk.worker_name,
        model=desk.engine.model_key,
        lanes=lanes,
        running=len(desk.running.all()),
        chats=tuple(sorted(resident)),
        at=time.time(),
    )
    registry.announce(desk.redis, view)


def reap(desk: Desk) -> None:
    """Bring Redis to what the database says, and take out what RQ keeps about turns that have ended."""
    queue.reconcile(desk.db, desk.redis)
    ours = jobs.open_queue(desk.redis, desk.worker_name)
    ours.failed_job_registry.cleanup()  # unlike that of started jobs, this one only drops what has expired
    for turn_id in ours.started_job_registry.get_job_ids(cleanup=False):
        if _long_over(desk, turn_id):
            jobs.remove_job(desk.redis, turn_id, desk.worker_name)


def _long_over(desk: Desk, turn_id: str) -> bool:
    """Whether RQ missed the end of this turn: its lane lost Redis, or was frozen, while it ended."""
    try:
        turn = turns.get_turn(desk.db, turn_id)
    except NotFound:
        return True
    return turn.ended_at is not None and time.time() - turn.ended_at > RQ_ENDS_WITHIN_S
