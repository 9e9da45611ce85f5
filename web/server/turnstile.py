"""Turnstile: which requests get a thread at once, and which wait in the main loop (fair queueing). Sans I/O.

What it does: AT_ONCE requests of one person run at the same time, PRESSED of who has used up half of what the pace
(web/pace.py) lends; the others wait in the order in which they came, and so does everything of who is in debt. Who
waits holds no thread. WAITING_EACH of one person and WAITING_ALL wait; one more is turned away.
What it refuses to know: connections, and who a person is (who_asks.py).
"""

from collections import Counter, deque
from enum import Enum
from typing import Generic, TypeVar

from web.pace import Pace

AT_ONCE, PRESSED = 6, 2  # browsers ask for six things at once
WAITING_EACH, WAITING_ALL = 32, 256
Item = TypeVar("Item")


class Place(Enum):
    """What becomes of who arrives."""

    GO = 1
    WAIT = 2
    TURNED_AWAY = 3


class Turnstile(Generic[Item]):
    """Of one process, for its main loop: not thread-safe."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[Item]] = {}
        self._n_waiting = 0

    def arrive(self, key: str, item: Item) -> Place:
        """Somebody wants to go on. Who goes calls `leave` at the end."""
        queue = self._waiting.get(key, ())
        if not queue and self._may_go(key):
            self._running[key] += 1
            return Place.GO
        if len(queue) >= WAITING_EACH or self._n_waiting >= WAITING_ALL:
            return Place.TURNED_AWAY
        self._waiting.setdefault(key, deque()).append(item)
        self._n_waiting += 1
        return Place.WAIT

    def leave(self, key: str) -> None:
        """One that went on has ended."""
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]

    def due(self, all_of_them: bool = False) -> list[Item]:
        """Those who waited and go on now."""
        going: list[Item] = []
        for key in list(self._waiting):
            queue = self._waiting[key]
            while queue and (all_of_them or self._may_go(key)):
                self._running[key] += 1
                going.append(queue.popleft())
            if not queue:
                del self._waiting[key]
        self._n_waiting -= len(going)
        return going

    def next_s(self) -> float | None:
        """Seconds until somebody has paid; None where all wait for `leave`, or nobody waits."""
        return min((self._pace.wait_s(key) for key in self._waiting if not self._is_full(key)), default=None)

    def _may_go(self, key: str) -> bool:
        return not self._is_full(key) and not self._pace.wait_s(key)

    def _is_full(self, key: str) -> bool:
        return self._running[key] >= (PRESSED if self._pace.is_pressed(key) else AT_ONCE)
