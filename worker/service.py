"""The parts of a running worker (lanes, tickers, publisher, engine), started and stopped in the right order.

What it refuses to know: signals, exit codes, the file lock (main.py), and what a turn does (attempt.py).
Order of a start: requeue the turns of the predecessor (main.py), announce, then the lanes. Order of a drain: leave the
registry, stop the lanes and the running turns, requeue what was given back; then the tickers end, then the engine.
"""

from __future__ import annotations

import logging
import threading
import time

from redis import Redis
from redis.exceptions import RedisError

from engine import Engine
from store.broker import jobs, recovery, registry
from store.broker.client import connect
from store.db import Database
from store.settings import Settings
from worker import heartbeat
from worker.context import WorkerContext, open_context
from worker.engine_setup import divide_blocks, framing_of
from worker.engine_stats import EngineReporter
from worker.forgetting import FORGET_EVERY_S, forget_deleted
from worker.idle_model import IdleModel
from worker.kept_ends import KeptEnds
from worker.machine_share import SHARE_EVERY_S, ShareKeeper
from worker.publisher import Publisher
from worker.remember import NOTE_EVERY_S, NoteWriter
from worker.rq_lanes import LaneThread, start_lanes
from worker.running_turns import StopReason
from worker.shelf.choice import OpenedModel
from worker.shelf.keeper import SHELF_EVERY_S, ShelfKeeper
from worker.shelf.switch import SWITCH_EVERY_S, SwitchWatcher
from worker.ticker import Ticker
from worker.titles import TITLE_EVERY_S, TitleWriter
from worker.warmup import WARM_EVERY_S, ChatWarmer

log = logging.getLogger(__name__)

DRAIN_S = 4.0


class Service:
    """One worker process at work."""

    def __init__(self, settings: Settings, db: Database, engine: Engine, opened: OpenedModel | None = None) -> None:
        self._settings, self._db, self._engine = settings, db, engine
        self._reporter = EngineReporter(settings, engine, opened)
        self._redis = connect(settings.redis_url)
        self._switch = SwitchWatcher(settings, db, self._redis, opened) if opened else None
        self._context = WorkerContext(
            worker_name=settings.worker_name,
            db=db,
            redis=self._redis,
            engine=engine,
            framing=framing_of(engine, settings.framing),
            piece=engine.backend.piece,
            publisher=Publisher(connect(settings.redis_url)),
            context_tokens=engine.options.context,
            max_reply_tokens=settings.max_reply_tokens,
            data_dir=settings.data_dir,
            narrations=settings.narrations,
            longest_reply_tokens=settings.longest_reply_tokens,
            recall_tokens=settings.recall_tokens,
        )
        self._kept_ends = KeptEnds(settings.data_dir)
        self._warmer = ChatWarmer(self._context)
        self._idle = IdleModel(self._context)
        titles, notes = TitleWriter(self._context, self._idle), NoteWriter(self._context, self._idle)
        self._lanes: list[LaneThread] = []
        self._registry = Ticker("registry", heartbeat.ANNOUNCE_EVERY_S, self._announce)
        self._tickers = [
            self._registry,
            Ticker("leases", heartbeat.RENEW_EVERY_S, lambda: heartbeat.renew_leases(self._context)),
            Ticker("cancel flags", heartbeat.CANCEL_EVERY_S, heartbeat.CancelFlags(self._context).watch),
            Ticker("peers", heartbeat.PEERS_EVERY_S, lambda: heartbeat.take_over_from_dead_peers(self._context)),
            Ticker("warm-up", WARM_EVERY_S, self._warmer.tick),
            *([Ticker("notes", NOTE_EVERY_S, notes.tick)] if settings.notes else []),
            *([Ticker("titles", TITLE_EVERY_S, titles.tick)] if settings.titles else []),
            Ticker("forgetting", FORGET_EVERY_S, lambda: forget_deleted(db, engine)),
            Ticker("kept ends", FORGET_EVERY_S, lambda: self._kept_ends.sweep(db)),
            Ticker("reconcile", heartbeat.RECONCILE_EVERY_S, lambda: heartbeat.reconcile_if_due(self._context)),
        ]
        if opened and self._switch:
            shelf, loaded = ShelfKeeper(settings, db, opened), opened.loaded
            share = ShareKeeper(
                settings.data_dir, loaded.free.n_sharing, lambda n: divide_blocks(settings, engine, loaded, n)
            )
            self._tickers += [
                Ticker("share", SHARE_EVERY_S, share.tick),
                Ticker("shelf", SHELF_EVERY_S, shelf.tick),
                Ticker("switch", SWITCH_EVERY_S, self._switch.watch),
            ]

    def start(self) -> None:
        """Take turns from now on."""
        open_context(self._context)
        self._context.publisher.start()
        self._kept_ends.begin()
        for ticker in self._tickers:
            ticker.start()
        name = self._settings.worker_name
        self._lanes = start_lanes(
            [f"{name}.{number}" for number in range(self._engine.options.lanes)],
            lambda: jobs.open_queue(connect(self._settings.redis_url), name),
            self._context.draining,
        )
        if self._switch:
            self._switch.serving()
        log.info("worker %s is ready: %d lanes of %d tokens", name, len(self._lanes), self._context.context_tokens)

    def alive(self) -> bool:
        """Whether the engine still answers; without it this process must end."""
        return self._engine.alive() and not self.stalled()

    def stalled(self) -> bool:
        """Whether one step of the engine takes longer than the limit: the backend hangs, and only an exit helps."""
        return self._engine.stalled_s() > self._settings.stall_limit_s

    def switches(self) -> bool:
        """Whether this process has to end because another model was chosen."""
        return self._switch is not None and self._switch.due.is_set()

    def drain(self, limit_s: float = DRAIN_S) -> bool:
        """Drain: take no more turns and give the running ones back; True when every lane has ended within `limit_s`."""
        deadline = time.monotonic() + limit_s
        self._context.draining.set()
        self._retire()
        self._context.running.stop_all(StopReason.DRAINING)
        self._warmer.make_way()
        self._idle.make_way()
        for lane in self._lanes:
            lane.join(max(0.0, deadline - time.monotonic()))
        if late := [turn.turn_id for turn in self._context.running.all()]:
            log.warning("these turns did not stop in time, they are taken from their lanes: %s", ", ".join(late))
        requeue_own_turns(self._db, self._redis, self._settings.worker_name)
        return not any(lane.is_alive() for lane in self._lanes)

    def close(self, limit_s: float = 1.0) -> None:
        """End every helper and the engine."""
        for ticker in self._tickers:
            ticker.stop(0.2)
        self._context.publisher.close(0.5)
        closing = threading.Thread(target=self._engine.close, name="engine-close", daemon=True)
        closing.start()
        closing.join(limit_s)
        self._db.close()

    def _announce(self) -> None:
        heartbeat.announce(self._context, self._engine.options.lanes, self._engine.resident(), self._reporter.now())

    def _retire(self) -> None:
        """Leave the registry: from now on turns are routed to other workers."""
        self._registry.stop()
        try:
            registry.retire(self._redis, self._settings.worker_name)
        except RedisError as error:
            log.warning("the registry forgets this worker by itself, Redis does not answer: %s", error)


def requeue_own_turns(db: Database, redis: Redis, worker_name: str) -> None:
    """Put every unfinished turn of this worker at the front of its queue.

    To be called only while no lane of this name works: right after the lock was taken, and at the end of a drain.
    """
    try:
        requeued = recovery.reconcile_own(db, redis, worker_name)
    except RedisError as error:
        log.warning("unfinished turns of %s wait for Redis: %s", worker_name, error)
        return
    except Exception:
        log.exception("unfinished turns of %s wait for reconcile", worker_name)
        return
    if requeued:
        log.info("%d unfinished turns are in the queue again", len(requeued))
