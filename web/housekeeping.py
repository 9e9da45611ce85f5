"""The housekeeper: one thread per web process that puts right what a lost Redis or worker left undone.

What it does: every few seconds brings queues and database together (store.repair.reconcile) and looks whether replies
can be made at all; when that changes it tells every tab.
What it refuses to know: requests and web sockets.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from store import registry, repair
from store.db import Database

ROUND_S = 3.0
log = logging.getLogger(__name__)


class Housekeeping:
    """Knows what is wrong backstage: "" (all well), "redis" or "worker"."""

    def __init__(self, database: Database, redis: Redis, announce: Callable[[Mapping[str, Any]], None]) -> None:
        self._database = database
        self._redis = redis
        self._announce = announce
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.trouble = ""

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
        return {"type": "backstage", "trouble": self.trouble}

    def round(self) -> None:
        """One round of work."""
        trouble = self._look()
        if not trouble:
            self._reconcile()
        if trouble != self.trouble:
            log.warning("Backstage: %s", trouble or "all is well again")
            self.trouble = trouble
            self._announce(self.notice())

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.round()
            self._stopping.wait(ROUND_S)

    def _look(self) -> str:
        try:
            return "" if registry.alive(self._redis) else "worker"
        except RedisError:
            return "redis"

    def _reconcile(self) -> None:
        try:
            repair.reconcile(self._database, self._redis)
        except (RedisError, SQLAlchemyError) as error:
            log.warning("Unfinished turns could not be enqueued again: %s. Trying again.", error)
