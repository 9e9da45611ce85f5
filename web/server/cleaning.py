"""The cleaning (garbage collection): a thread that removes for good what is deleted, once a minute, in one process.

What it does: calls the removals of the store, which work in batches and may take minutes: not in the thread of
maintenance.py, whose rounds must stay short. One process of all does a round (a rate limit in Redis).
What it refuses to know: what is removed, and how.
To add something to clean: a line in `run_once`.
"""

import logging
import threading

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from store import removal, sign_ins
from store.broker import append_only, keys
from store.db import Database
from store.settings import Settings

ROUND_S = 60.0
DAY_S = 86_400.0
log = logging.getLogger(__name__)


class Cleaning:
    """The thread."""

    def __init__(self, settings: Settings, database: Database, redis: Redis) -> None:
        self._settings, self._database, self._redis = settings, database, redis
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the thread; it ends with the process."""
        threading.Thread(target=self._run, name="cleaning", daemon=True).start()

    def stop(self) -> None:
        """Begin no further round; one that is under way goes on after the next start."""
        self._stopping.set()

    def run_once(self) -> None:
        """One round."""
        keep_s = self._settings.keep_deleted_days * DAY_S
        append_only.rewrite_if_due(self._redis)
        sign_ins.forget_expired(self._database)
        removed = removal.remove_deleted(self._database, keep_s, self._settings.quota)
        if removed:
            log.info("Removed what %d deleted stories and accounts had left.", len(removed))

    def _run(self) -> None:
        while not self._stopping.wait(ROUND_S):
            try:
                if self._redis.set(keys.last_cleaning(), "1", nx=True, px=round(900 * ROUND_S)):
                    self.run_once()
            except (RedisError, SQLAlchemyError) as error:
                log.warning("Deleted stories could not be removed: %s. Trying again.", error)
