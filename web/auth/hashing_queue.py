"""Hashing queue: how many passwords may be hashed at the same time, for each hash takes 64 MiB and a core.

What it does: AT_ONCE hash, WAITING wait for them, others are told to come back; strangers and known browsers have a
queue each, so that strangers who guess keep nobody out.
What it refuses to know: passwords.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from web.errors import Problem
from web.i18n.language import gettext

AT_ONCE, WAITING = 2, 6


class HashingQueue:
    """One queue of one web process."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(AT_ONCE + WAITING)
        self._hashing = threading.BoundedSemaphore(AT_ONCE)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn. Raises Problem 503 when too many wait already."""
        if not self._places.acquire(blocking=False):
            sentence = gettext("Too many people are at the door: wait a moment, then try again.")
            raise Problem(503, "door_crowded", sentence, {"Retry-After": "2"})
        try:
            with self._hashing:
                yield
        finally:
            self._places.release()


STRANGERS, KNOWN = HashingQueue(), HashingQueue()
