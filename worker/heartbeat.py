"""What a worker does beside its turns, as functions that `Ticker` threads call.

`renew_leases` (SQL only: it must go on while Redis is away), `watch_cancel_flags` (Redis only), `announce` (the
registry). The reaper is `store.queue.reconcile`, called as it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from store import cancel, registry, turns
from worker.desk import LEASE_S, Desk
from worker.running import StopReason

RENEW_EVERY_S = 1.0
FLAGS_EVERY_S = 0.05
ANNOUNCE_EVERY_S = 1.0
RECONCILE_EVERY_S = 2.0


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
