"""The indexing: a thread that brings the search index up to date, in one web process at a time.

What it does: every ROUND_S indexes what has been written since, in small batches that give way to other writers, for
SLICE_S at most. A database of an older version is filled by it within minutes, while people write.
What it refuses to know: what is indexed, and how (store/search/index.py).
"""

import logging
import threading
import time

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from store import search
from store.broker import keys
from store.db import Database

ROUND_S, SLICE_S, AFTER_TROUBLE_S, STOP_S = 1.5, 20.0, 15.0, 2.0
log = logging.getLogger(__name__)


class Indexing:
    """The thread."""

    def __init__(self, database: Database, redis: Redis) -> None:
        self._database, self._redis = database, redis
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="indexing", daemon=True)

    def start(self) -> None:
        """Start the thread; it ends with the process."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no further batch, and wait for the one at work: whoever stops the services closes Redis next."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def run_once(self) -> None:
        """Index what waits for it, until nothing does or the time is over."""
        deadline = time.monotonic() + SLICE_S
        while search.index_some(self._database) and time.monotonic() < deadline and not self._stopping.is_set():
            pass

    def _run(self) -> None:
        pause_s = ROUND_S
        while not self._stopping.wait(pause_s):
            pause_s = ROUND_S
            try:
                if self._redis.set(keys.indexing(), "1", nx=True, px=round(1000 * (SLICE_S + ROUND_S))):
                    self.run_once()
                    self._redis.delete(keys.indexing())
            except (RedisError, SQLAlchemyError) as error:
                log.warning("New messages could not be indexed: %s. Trying again.", error)
                pause_s = AFTER_TROUBLE_S
