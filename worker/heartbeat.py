"""What a worker does beside its turns, as functions that `Ticker` threads call.

`renew_leases` (SQL only: it must go on while Redis is away), `CancelFlags` (Redis only), `announce` (the
registry), `take_over_from_dead_peers` (by their locks), `reap` (what dead workers and lost connections left, see
store/broker/recovery.py).
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
CANCEL_EVERY_S = 0.1  # between two looks, whatever is said
CANCEL_POLL_S = 1.0  # at least, when nothing is said
ANNOUNCE_EVERY_S = 1.0
RECONCILE_EVERY_S = 2.0
PEERS_EVERY_S = 0.3


def renew_leases(context: WorkerContext) -> None:
    """Keep the leases of the running turns, and in the same breath how far they are: a crash loses a second of it.

    Stops those that others own now and those that should be cancelled.
    """
    running = {turn.turn_id: (turn, turn.progress) for turn in context.running.all()}
    if not running:
        return
    now = time.time()
    news = {turn_id: _news(turn, progress) for turn_id, (turn, progress) in running.items()}
    held = turns.renew(context.db, news, now + LEASE_S, now)
    for turn_id, (turn, progress) in running.items():
        if turn_id not in held:
            turn.stop(StopReason.STALE)
            continue
        turn.saved_progress = progress
        if held[turn_id]:
            turn.stop(StopReason.CANCELLED)


def _news(turn: RunningTurn, progress: tuple[str, str]) -> turns.Progress:
    return turns.Progress(turn.attempt, *(progress if progress != turn.saved_progress else ()))


class CancelFlags:
    """Stops the running turns whose owner pressed stop: when Redis says that a flag was raised, and every second."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._pubsub: PubSub | None = None

    def watch(self) -> None:
        """Wait for word of a flag, then look at those of the running turns."""
        if self._pubsub is None:
            self._pubsub = cancel.subscribe(self._context.redis)
        self._pubsub.get_message(timeout=CANCEL_POLL_S)
        self.look()

    def look(self) -> None:
        """Look at the flags now."""
        running = self._context.running.all()
        flagged = cancel.requested(self._context.redis, [turn.turn_id for turn in running])
        for turn in running:
            if turn.turn_id in flagged:
                turn.stop(StopReason.CANCELLED)


def announce(
    context: WorkerContext, lanes: int, resident: Iterable[str], engine: registry.EngineView = registry.NOTHING_KNOWN
) -> None:
    """Say in the registry that this worker is there, what it holds and how its engine is."""
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
    """Workers of this machine that the registry believes in and whose lock is free are dead: take what they had."""
    if context.draining.is_set():
        return
    for name in registry.names(context.redis):
        if name != context.worker_name:
            with lock_dead_worker(context.data_dir, name) as dead:
                if dead:
                    moved = recovery.take_over(context.db, context.redis, name)
                    log.warning("worker %s is dead, %d turns of it go on elsewhere", name, len(moved))


def reconcile_if_due(context: WorkerContext, every_s: float = RECONCILE_EVERY_S) -> None:
    """Bring Redis to what the database says, and take out what RQ keeps about turns that have ended.

    One worker does it for all: with each doing it for each, thirty of them had no time for anything else.
    """
    if not recovery.is_due(context.redis, every_s):
        return
    recovery.reconcile(context.db, context.redis)
    recovery.reconcile_rq(context.db, context.redis)
