"""Full collections of the garbage collector, put off while a large file is in memory.

What it does: a full collection looks at every object, and no thread goes on meanwhile: with a story of years in memory
half a second, again and again while more of it comes in. `put_off` raises the collector's last threshold until all who
asked have ended; where they overlap without end, one is made every LONGEST_S. Young objects are collected as ever.
What it refuses to know: what is in memory.
"""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST_S = 60.0
_NEVER = 1_000_000


class FullCollections:
    """Of this process; `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._n, self._since = 0, 0.0
        self._usual = gc.get_threshold()

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """No full collection until the end of the block."""
        with self._lock:
            self._begin()
            self._n += 1
        try:
            yield
        finally:
            with self._lock:
                self._n -= 1
                if not self._n:
                    gc.set_threshold(*self._usual)

    def _begin(self) -> None:
        now = self._clock()
        if not self._n:
            self._usual, self._since = gc.get_threshold(), now
            gc.set_threshold(*self._usual[:2], _NEVER)
        elif now - self._since > LONGEST_S:
            gc.collect()
            self._since = now


full_collections = FullCollections()
