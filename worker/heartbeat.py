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
from worker.context import LEASE_S, Desk
from worker.gpu_lock import lock_of_the_dead
from worker.running_turns import RunningTurn, StopReason

log = logging.getLogger(__name__)

RENEW_EVERY_S = 1.0
FLAGS_EVERY_S = 0.1  # between two looks, whatever is said
LOOK_EVERY_S = 1.0  # at least, when nothing is said
ANNOUNCE_EVERY_S = 1.0
REAP_EVERY_S = 2.0
PEERS_EVERY_S = 0.3


def renew_leases(desk: Desk) -> None:
    """Keep the leases of the running turns, and in the same breath how far they are: a crash loses a second of it.

    Stops those that others own now and those that should be cancelled.
    """
    running = {turn.turn_id: (turn, turn.progress) for turn in desk.running.all()}
    if not running:
        return
    now = time.time()
    news = {turn_id: _news(turn, progress) for turn_id, (turn, progress) in running.items()}
    held = turns.renew(desk.db, news, now + LEASE_S, now)
    for turn_id, (turn, progress) in running.items():
        if turn_id not in held:
            turn.stop(StopReason.STALE)
            continue
        turn.noted = progress
        if held[turn_id]:
            turn.stop(StopReason.CANCELLED)


def _news(turn: RunningTurn, progress: tuple[str, str]) -> turns.Progress:
    return turns.Progress(turn.attempt, *(progress if progress != turn.noted else ()))


class CancelFlags:
    """Stops the running turns whose owner pressed stop: when Redis says that a flag was raised, and every second."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._pubsub: PubSub | None = None

    def watch(self) -> None:
        """Wait for word of a flag, then look at those of the running turns."""
        if self._pubsub is None:
            self._pubsub = cancel.subscribe(self._desk.redis)
        self._pubsub.get_message(timeout=LOOK_EVERY_S)
        self.look()

    def look(self) -> None:
        """Look at the flags now."""
        running = self._desk.running.all()
        flagged = cancel.requested(self._desk.redis, [turn.turn_id for turn in running])
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
                    moved = recovery.take_over(desk.db, desk.redis, name)
                    log.warning("worker %s is dead, %d turns of it go on elsewhere", name, len(moved))


def reap(desk: Desk, every_s: float = REAP_EVERY_S) -> None:
    """Bring Redis to what the database says, and take out what RQ keeps about turns that have ended.

    One worker does it for all: with each doing it for each, thirty of them had no time for anything else.
    """
    if not recovery.is_due(desk.redis, every_s):
        return
    recovery.reconcile(desk.db, desk.redis)
    recovery.reconcile_rq(desk.db, desk.redis)
