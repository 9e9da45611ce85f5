"""The heartbeat: the periodic work of a worker beside its turns, as functions that `Ticker` threads call.

    renew_leases                 SQL only: leases must be renewed while Redis is away
    CancelFlags.watch            Redis only: stops turns whose owner pressed stop
    announce                     the worker's entry in the registry
    take_over_from_dead_peers    queued turns of workers on this machine whose lock is free
    reconcile_if_due             what dead workers and lost connections left (store/broker/recovery.py)
To add periodic work: a function here with its interval, a `Ticker` in service.py.
To add a number to the heartbeat: engine_stats.py has the list of places.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterable

from redis.client import PubSub

from store import turns
from store.broker import cancel, recovery, registry
from worker.context import LEASE_S, WorkerContext
from worker.gpu_lock import lock_dead_worker
from worker.running_turns import RunningTurn, StopReason

log = logging.getLogger(__name__)

RENEW_EVERY_S = 1.0
CANCEL_EVERY_S = 0.1  # the shortest time between two checks
CANCEL_POLL_S = 1.0  # the longest, should a notification be lost
ANNOUNCE_EVERY_S = 1.0
RECONCILE_EVERY_S = 2.0
PEERS_EVERY_S = 0.3


def renew_leases(context: WorkerContext) -> None:
    """Renew the leases of the running turns and save their progress with them: a crash loses a second of text.

    Stops turns that another attempt owns now, and turns that are cancelled in SQL.
    """
    running = {turn.turn_id: (turn, turn.progress) for turn in context.running.all()}
    if not running:
        return
    now = time.time()
    unsaved = {turn_id: _unsaved(turn, progress) for turn_id, (turn, progress) in running.items()}
    held = turns.renew(context.db, unsaved, now + LEASE_S, now)
    for turn_id, (turn, progress) in running.items():
        if turn_id not in held:
            turn.stop(StopReason.STALE)
            continue
        turn.saved_progress = progress
        if held[turn_id]:
            turn.stop(StopReason.CANCELLED)


def _unsaved(turn: RunningTurn, progress: tuple[str, str]) -> turns.Progress:
    return turns.Progress(turn.attempt, *(progress if progress != turn.saved_progress else ()))


class CancelFlags:
    """Stops running turns whose owner pressed stop: when Redis announces a cancel flag, and every second."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._pubsub: PubSub | None = None

    def watch(self) -> None:
        """Wait for a notification, at most a second, then check the flags."""
        if self._pubsub is None:
            self._pubsub = cancel.subscribe(self._context.redis)
        self._pubsub.get_message(timeout=CANCEL_POLL_S)
        self.check()

    def check(self) -> None:
        """Stop the running turns whose cancel flag is set."""
        running = self._context.running.all()
        flagged = cancel.requested(self._context.redis, [turn.turn_id for turn in running])
        for turn in running:
            if turn.turn_id in flagged:
                turn.stop(StopReason.CANCELLED)


def announce(
    context: WorkerContext, lanes: int, resident: Iterable[str], engine: registry.EngineView = registry.NOTHING_KNOWN
) -> None:
    """Write this worker into the registry: its lanes, the chats in its cells (`resident`), its engine's numbers."""
    if context.draining.is_set():
        return
    view = registry.WorkerView(
        name=context.worker_name,
        model=context.engine.model_key,
        lanes=lanes,
        running=len(context.running.all()),
        chats=tuple(sorted(resident)),
        at=time.time(),
        busy_s=context.running.ages_s(),
        turn_s=context.running.durations_s(),
        host=socket.gethostname(),
        engine=engine,
    )
    registry.announce(context.redis, view)


def take_over_from_dead_peers(context: WorkerContext) -> None:
    """Take the turns of workers that are in the registry but dead: the lock of their name on this machine is free."""
    if context.draining.is_set():
        return
    for name in registry.names(context.redis):
        if name != context.worker_name:
            with lock_dead_worker(context.data_dir, name) as dead:
                if dead:
                    moved = recovery.take_over(context.db, context.redis, name)
                    log.warning("worker %s is dead, %d turns of it go on elsewhere", name, len(moved))


def reconcile_if_due(context: WorkerContext, every_s: float = RECONCILE_EVERY_S) -> None:
    """Make Redis match the database, and remove what RQ keeps of ended turns.

    One worker does it for all (the others find it is not due): with each doing it, thirty had no time left for turns.
    """
    if not recovery.is_due(context.redis, every_s):
        return
    recovery.reconcile(context.db, context.redis)
    recovery.reconcile_rq(context.db, context.redis)
