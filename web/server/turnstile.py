"""Turnstile: which requests get a thread at once, and which wait in the main loop (fair queueing). Sans I/O.

What it does: AT_ONCE requests of one person run at the same time, PRESSED of who has used up half of what the pace
(web/pace.py) lends; the others wait in the order in which they came, and so does everything of who is in debt. Who
waits holds no thread. WAITING_EACH of one person wait (browsers behind a proxy that speaks HTTP/2 ask for all modules
and pictures of a page at once); where WAITING_ALL, or requests of WAITING_BYTES together, wait, the last of who has the
most gives way, so that nobody fills the place.
What it refuses to know: connections, and who a person is (who_asks.py).
"""

from collections import Counter, deque
from enum import Enum
from typing import Generic, TypeVar

from web.pace import Pace

AT_ONCE, PRESSED = 6, 2
WAITING_EACH, WAITING_ALL, WAITING_BYTES = 300, 600, 32 << 20
Item = TypeVar("Item")


class Place(Enum):
    """What becomes of who arrives."""

    GO = 1
    WAIT = 2
    TURNED_AWAY = 3


class _Queue(deque[tuple[Item, int]]):
    """Those of one person who wait, each with the bytes of its request."""

    n_bytes = 0


class Turnstile(Generic[Item]):
    """Of one process, for its main loop: not thread-safe."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, _Queue[Item]] = {}
        self._displaced: list[Item] = []

    def arrive(self, key: str, item: Item, n_bytes: int = 0) -> Place:
        """Somebody wants to go on, with so much in hand. Who goes calls `leave` at the end."""
        if key not in self._waiting and self._may_go(key):
            self._running[key] += 1
            return Place.GO
        if len(self._waiting.get(key, ())) >= WAITING_EACH:
            return Place.TURNED_AWAY
        queue = self._waiting.setdefault(key, _Queue())
        queue.append((item, n_bytes))
        queue.n_bytes += n_bytes
        self._make_room()
        if item in self._displaced:
            self._displaced.remove(item)
            return Place.TURNED_AWAY
        return Place.WAIT

    def displaced(self) -> list[Item]:
        """Those who waited and are turned away now, since somebody else came who has fewer."""
        displaced, self._displaced = self._displaced, []
        return displaced

    def leave(self, key: str) -> None:
        """One that went on has ended."""
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]

    def due(self, all_of_them: bool = False) -> list[Item]:
        """Those who waited and go on now."""
        going: list[Item] = []
        for key in list(self._waiting):
            while key in self._waiting and (all_of_them or self._may_go(key)):
                self._running[key] += 1
                going.append(self._take(key, 0))
        return going

    def next_s(self) -> float | None:
        """Seconds until somebody has paid; None where all wait for `leave`, or nobody waits."""
        return min((self._pace.wait_s(key) for key in self._waiting if not self._is_full(key)), default=None)

    def _make_room(self) -> None:
        """The last of who has the most waiting give way."""
        queues = self._waiting
        while sum(map(len, queues.values())) > WAITING_ALL:
            self._displaced.append(self._take(max(queues, key=lambda key: len(queues[key])), -1))
        while sum(queue.n_bytes for queue in queues.values()) > WAITING_BYTES:
            self._displaced.append(self._take(max(queues, key=lambda key: queues[key].n_bytes), -1))

    def _take(self, key: str, place: int) -> Item:
        queue = self._waiting[key]
        item, n_bytes = queue[place]
        del queue[place]
        queue.n_bytes -= n_bytes
        if not queue:
            del self._waiting[key]
        return item

    def _may_go(self, key: str) -> bool:
        return not self._is_full(key) and not self._pace.wait_s(key)

    def _is_full(self, key: str) -> bool:
        return self._running[key] >= (PRESSED if self._pace.is_pressed(key) else AT_ONCE)
