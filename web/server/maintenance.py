"""Periodic maintenance: one thread per web process that reconciles SQL with Redis and watches the service status.

What it does, every ROUND_S: reads the state of the installation (store/site_state.py) and whether Redis and a worker
are there, which models answer, and whether one is being changed; when that has changed, every tab gets
`service_status`. Then it enqueues again the turns that a lost Redis or
worker left behind (store.broker.recovery.reconcile). It also samples the load for the charts of the admin's page.
What it refuses to know: requests and web sockets.
To add a duty: a method that catches RedisError and SQLAlchemyError, called by `run_once`.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from store import site_state, statistics
from store.broker import recovery, registry, switching
from store.db import Database
from store.site_state import SiteState
from web.admin.trend import Trend
from web.live.protocol.to_tab import ServiceStatus

ROUND_S = 3.0
log = logging.getLogger(__name__)


class PeriodicMaintenance:
    """The thread, and what it saw last.

    `trouble`: "" (none), "redis", "worker", "paused", or "model" while one is being changed, which takes about
    `change_s` seconds; `answering`: the models that are there; `models`: the same with the names of their files.
    """

    def __init__(self, database: Database, redis: Redis, broadcast: Callable[[ServiceStatus], None]) -> None:
        self._database = database
        self._redis = redis
        self._broadcast = broadcast
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._refreshing = threading.Lock()
        self.trouble = ""
        self.change_s = 0
        self.answering = self.models = ""
        self.site_state = SiteState()
        self.trend = Trend()

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        if self._thread:
            self._thread.join(2.0)

    def service_status(self) -> ServiceStatus:
        """The frame with the status, for tabs."""
        announcement = self.site_state.announcement
        line = {"id": announcement.id, "text": announcement.text} if announcement else None
        return {
            "type": "service_status",
            "trouble": self.trouble,
            "change_s": self.change_s,
            "answering": self.answering,
            "models": self.models,
            "announcement": line,
        }

    def run_once(self) -> None:
        """One round of maintenance."""
        self.refresh()
        if self.trouble in ("", "paused"):
            self._reconcile()

    def refresh(self) -> None:
        """Read the status again, and send it to every tab if it has changed."""
        with self._refreshing:
            before = self.service_status()
            self.site_state = self._read_site_state()
            self.trouble = self._find_trouble()
            if self.service_status() != before:
                log.warning("Service status: %s", self.trouble or "all is well")
                self._broadcast(self.service_status())

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.run_once()
            self._stopping.wait(ROUND_S)

    def _read_site_state(self) -> SiteState:
        try:
            return site_state.read(self._database)
        except SQLAlchemyError as error:
            log.warning("The state of the installation could not be read: %s", error)
            return self.site_state

    def _find_trouble(self) -> str:
        try:
            workers = registry.alive(self._redis)
            switches = switching.under_way(self._redis) if not workers else ()
        except RedisError:
            return "redis"
        self._sample(workers.values())
        self.change_s = max((one.about_s for one in switches), default=0)
        self._see_models([one.engine for one in workers.values()])
        if not workers:
            return "model" if switches else "worker"
        return "" if self.site_state.paused_since is None else "paused"

    def _see_models(self, engines: Iterable[registry.EngineView]) -> None:
        names = sorted({(engine.model_name, engine.model_file) for engine in engines})
        self.answering = ", ".join(dict.fromkeys(name for name, _ in names if name))
        self.models = ", ".join(" ".join(filter(None, pair)) for pair in names)

    def _sample(self, workers: Iterable[registry.WorkerView]) -> None:
        try:
            states = statistics.unfinished(self._database)
        except SQLAlchemyError as error:
            log.warning("The waiting turns could not be counted: %s", error)
            return
        self.trend.add(time.time(), workers, states.get("waiting", 0) + states.get("queued", 0))

    def _reconcile(self) -> None:
        try:
            recovery.reconcile(self._database, self._redis)
        except (RedisError, SQLAlchemyError) as error:
            log.warning("Unfinished turns could not be enqueued again: %s. Trying again.", error)
