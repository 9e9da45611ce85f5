"""Hashing queue: how many passwords may be hashed at the same time, for each hash takes 64 MiB and a core.

What it does: AT_ONCE hash, WAITING wait for them, others are told to come back; strangers and known browsers have a
queue each, so that strangers who guess keep nobody out. Strangers hash one at a time, and after each hash their queue
rests for as long as it took: who guesses without pause has half of the processors at most.
What it refuses to know: passwords.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from web.errors import Problem
from web.i18n.language import gettext

AT_ONCE, WAITING = 2, 6
LONGEST_REST_S = 1.0


class HashingQueue:
    """One queue of one web process. `rests`: whether it gives way to others after each hash."""

    def __init__(self, at_once: int = AT_ONCE, rests: bool = False) -> None:
        self._places = threading.BoundedSemaphore(at_once + WAITING)
        self._hashing = threading.BoundedSemaphore(at_once)
        self._rests = rests

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn. Raises Problem 503 when too many wait already."""
        if not self._places.acquire(blocking=False):
            sentence = gettext("Too many people are signing in: wait a moment, then try again.")
            raise Problem(503, "door_crowded", sentence, {"Retry-After": "2"})
        try:
            with self._hashing:
                began = time.monotonic()
                yield
                if self._rests:
                    time.sleep(min(time.monotonic() - began, LONGEST_REST_S))
        finally:
            self._places.release()


STRANGERS, KNOWN = HashingQueue(at_once=1, rests=True), HashingQueue()
