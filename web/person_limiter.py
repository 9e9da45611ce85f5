"""Person limiter: counts what people hold at the same time (sockets, uploads), in all and for each person.

What it refuses to know: what is counted, and what is said to who gets no place.
"""

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class PersonLimiter:
    """At most `limit` places in all and `per_person` for one person. Thread-safe."""

    limit: int
    per_person: int
    _held: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def acquire(self, user_id: str) -> bool:
        """Take a place; False where none is left. Who got one calls `release` at its end."""
        with self._lock:
            if self._held.total() >= self.limit or self._held[user_id] >= self.per_person:
                return False
            self._held[user_id] += 1
            return True

    def release(self, user_id: str) -> None:
        """Give a place back."""
        with self._lock:
            self._held[user_id] -= 1
            if not self._held[user_id]:
                del self._held[user_id]

    @property
    def n_open(self) -> int:
        """How many places are taken now."""
        return self._held.total()
