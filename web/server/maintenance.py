"""The housekeeper: one thread per web process that puts right what a lost Redis or worker left undone.

What it does: every few seconds brings queues and database together (store.broker.recovery.reconcile), looks whether
replies can be made at all and what holds for the house (store.site_state); when that changes it tells every tab. It
also keeps the last minutes for the charts of the admin's page. What it refuses to know: requests and web sockets.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from store import site_state, statistics
from store.broker import recovery, registry
from store.db import Database
from store.site_state import SiteState
from web.admin.trend import Trend

ROUND_S = 3.0
log = logging.getLogger(__name__)


class PeriodicMaintenance:
    """Knows what holds for the house, and what is wrong backstage: "" (all well), "redis", "worker" or "paused"."""

    def __init__(self, database: Database, redis: Redis, announce: Callable[[Mapping[str, Any]], None]) -> None:
        self._database = database
        self._redis = redis
        self._announce = announce
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._looking = threading.Lock()
        self.trouble = ""
        self.facts = SiteState()
        self.trend = Trend()

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        if self._thread:
            self._thread.join(2.0)

    def notice(self) -> dict[str, Any]:
        """What tabs are told."""
        told = self.facts.announcement
        line = {"id": told.id, "text": told.text} if told else None
        return {"type": "service_status", "trouble": self.trouble, "announcement": line}

    def round(self) -> None:
        """One round of work."""
        self.look()
        if self.trouble in ("", "paused"):
            self._reconcile()

    def look(self) -> None:
        """See how things are, and tell every tab when that has changed."""
        with self._looking:
            before = self.notice()
            self.facts = self._read_facts()
            self.trouble = self._find_trouble()
            if self.notice() != before:
                log.warning("Service status: %s", self.trouble or "all is well")
                self._announce(self.notice())

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.round()
            self._stopping.wait(ROUND_S)

    def _read_facts(self) -> SiteState:
        try:
            return site_state.read(self._database)
        except SQLAlchemyError as error:
            log.warning("What holds for the house could not be read: %s", error)
            return self.facts

    def _find_trouble(self) -> str:
        try:
            workers = registry.alive(self._redis)
        except RedisError:
            return "redis"
        self._sample(workers.values())
        if not workers:
            return "worker"
        return "" if self.facts.paused_since is None else "paused"

    def _sample(self, workers: Iterable[registry.WorkerView]) -> None:
        try:
            states = statistics.unfinished(self._database)
        except SQLAlchemyError as error:
            log.warning("Who waits could not be counted: %s", error)
            return
        self.trend.add(time.time(), workers, states.get("waiting", 0) + states.get("queued", 0))

    def _reconcile(self) -> None:
        try:
            recovery.reconcile(self._database, self._redis)
        except (RedisError, SQLAlchemyError) as error:
            log.warning("Unfinished turns could not be enqueued again: %s. Trying again.", error)
