"""A ticker: a thread that calls a function periodically. It knows neither Redis nor SQL, and no error ends it.

Used for the heartbeat of a worker. Each task has a thread of its own, so that a hanging Redis cannot keep a lease in
SQL from being renewed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Ticker(threading.Thread):
    """Calls `tick` every `interval_s` until stopped; only the first of several failures in a row is logged."""

    def __init__(self, name: str, interval_s: float, tick: Callable[[], object]) -> None:
        super().__init__(name=name, daemon=True)
        self._interval_s, self._tick = interval_s, tick
        self._stopped = threading.Event()
        self._failing = False

    def run(self) -> None:
        """Tick until stopped."""
        while not self._stopped.is_set():
            self._tick_once()
            self._stopped.wait(self._interval_s)

    def _tick_once(self) -> None:
        try:
            self._tick()
        except Exception as error:
            if not self._failing:
                log.warning("%s failed, trying on: %s: %s", self.name, type(error).__name__, error, exc_info=True)
            self._failing = True
        else:
            if self._failing:
                log.info("%s works again", self.name)
            self._failing = False

    def stop(self, timeout_s: float = 1.0) -> None:
        """Ask it to end and wait at most `timeout_s` for it."""
        self._stopped.set()
        if self.is_alive():
            self.join(timeout_s)
