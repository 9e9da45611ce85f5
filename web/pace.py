"""Pace: a token bucket of processor time for each person, and for each address of strangers. Thread-safe.

What it does: who uses more than a share of one processor in the long run is in debt and waits until it is paid, for
LONGEST_WAIT_S at the most; `burst_s` seconds are free. Requests wait in the main loop (server/turnstile.py), frames of
web sockets in their reader thread (live/connection.py); long work rests while it goes on (`Rests`). A count of requests
would be the same for the cheap and the costly ones; processor time is what one person takes from the others.
What it refuses to know: for what the time was used. Work of other threads (passwords: auth/hashing_queue.py) and of
other processes is not counted.
"""

import threading
import time
from collections.abc import Callable

LONGEST_WAIT_S = 5.0
UNBROKEN_S, WORK_S = 0.5, 0.01  # long work: seconds of the processor without a rest, and between two of them
MOST_KEYS = 4_096  # above it those who owe nothing are forgotten


class Pace:
    """The buckets of one process. `share`: processor seconds per second in the long run; 0: nobody waits."""

    def __init__(self, share: float, burst_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._burst_s, self._clock = share, burst_s, clock
        self._used: dict[str, tuple[float, float]] = {}  # seconds of the processor that are not paid back, at a time
        self._lock = threading.Lock()

    def charge(self, key: str, cpu_s: float) -> None:
        """Count `cpu_s` seconds of the processor."""
        self.reserve(key, cpu_s)

    def reserve(self, key: str, cpu_s: float) -> float:
        """Count `cpu_s` before they are used; the seconds to wait until then. Who comes next waits longer."""
        if not self._share:
            return 0.0
        most = self._burst_s + LONGEST_WAIT_S * self._share
        with self._lock:
            now = self._clock()
            owed = self._owed(key, now)
            self._used[key] = (min(most, owed + cpu_s), now)
            if len(self._used) > MOST_KEYS:
                self._used = {one: it for one, it in self._used.items() if self._owed(one, now)}
            return self._wait_s(owed)

    def wait_s(self, key: str) -> float:
        """Seconds after which this person may go on; 0: now."""
        if not self._share:
            return 0.0
        with self._lock:
            return self._wait_s(self._owed(key, self._clock()))

    def is_pressed(self, key: str) -> bool:
        """Whether more than half of the burst is used."""
        with self._lock:
            return self._owed(key, self._clock()) > self._burst_s / 2

    def __len__(self) -> int:
        return len(self._used)

    def _wait_s(self, owed: float) -> float:
        return max(0.0, owed - self._burst_s) / self._share

    def _owed(self, key: str, now: float) -> float:
        used, at = self._used.get(key, (0.0, now))
        return max(0.0, used - (now - at) * self._share)


class Meter:
    """The processor time of one thread, charged to one key. Made and used in that thread."""

    def __init__(self, pace: Pace, key: str) -> None:
        self._pace, self._key = pace, key
        self._at = time.thread_time()

    def charge(self, reserved_s: float = 0.0) -> None:
        """Charge what this thread has used since the last time, without what was reserved for it."""
        now = time.thread_time()
        self._pace.charge(self._key, max(0.0, now - self._at - reserved_s))
        self._at = now


class Rests:
    """Called again and again by work of many seconds: from time to time it rests for as long as it has worked."""

    def __init__(
        self, sleep: Callable[[float], None] = time.sleep, cpu: Callable[[], float] = time.thread_time
    ) -> None:
        self._sleep, self._cpu = sleep, cpu
        self._at = cpu() + UNBROKEN_S - WORK_S

    def __call__(self) -> None:
        """Go on, or rest first."""
        worked = self._cpu() - self._at
        if worked >= WORK_S:
            self._sleep(worked)
            self._at = self._cpu()


def person_key(user_id: str) -> str:
    """The key of somebody with an account, from wherever they come."""
    return f"user:{user_id}"
