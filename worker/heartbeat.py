"""What a worker does beside its turns, as functions that `Ticker` threads call.

`renew_leases` (SQL only: it must go on while Redis is away), `watch_cancel_flags` (Redis only), `announce` (the
registry), `take_over_from_dead_peers` (by their locks), `reap` (what dead workers and lost connections left, see
store/repair.py).
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterable

from store import cancel, registry, repair, turns
from worker.desk import LEASE_S, Desk
from worker.locks import lock_of_the_dead
from worker.running import StopReason

log = logging.getLogger(__name__)

RENEW_EVERY_S = 1.0
FLAGS_EVERY_S = 0.1  # a stop is felt at once; each look is a call to Redis beside the decode
ANNOUNCE_EVERY_S = 1.0
REAP_EVERY_S = 2.0
PEERS_EVERY_S = 0.3


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


def announce(
    desk: Desk, lanes: int, resident: Iterable[str], engine: registry.EngineView = registry.NOTHING_KNOWN
) -> None:
    """Say in the registry that this worker is there, what it holds and how its engine is."""
    if desk.draining.is_set():
        return
    view = registry.WorkerView(
        name=desk.worker_name,
        model=desk.engine.model_key,
        lanes=lanes,
        running=len(desk.running.all()),
        chats=tuple(sorted(resident)),
        at=time.time(),
        busy_s=desk.running.busy_s(),
        turn_s=desk.running.turn_s(),
        host=socket.gethostname(),
        engine=engine,
    )
    registry.announce(desk.redis, view)


def take_over_from_dead_peers(desk: Desk) -> None:
    """Workers of this machine that the registry believes in and whose lock is free are dead: take what they had."""
    if desk.draining.is_set():
        return
    for name in registry.names(desk.redis):
        if name != desk.worker_name:
            with lock_of_the_dead(desk.data_dir, name) as dead:
                if dead:
                    moved = repair.take_over(desk.db, desk.redis, name)
                    log.warning("worker %s is dead, %d turns of it go on elsewhere", name, len(moved))


def reap(desk: Desk, every_s: float = REAP_EVERY_S) -> None:
    """Bring Redis to what the database says, and take out what RQ keeps about turns that have ended.

    One worker does it for all: with each doing it for each, thirty of them had no time for anything else.
    """
    if not repair.is_due(desk.redis, every_s):
        return
    repair.reconcile(desk.db, desk.redis)
    repair.sweep(desk.db, desk.redis)
