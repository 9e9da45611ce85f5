"""The last minutes of the house, for the charts of the admin's page: who was at work, who waited, tokens per second.

What it does: the housekeeper adds a sample every round; rates come from the counters in the workers' heartbeats, which
begin again at 0 when a worker does. What it refuses to know: Redis, SQL, pages. It forgets when its process ends.
"""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from store.broker.registry import WorkerView

MAX_SAMPLES = 200
"""Samples: ten minutes at one in three seconds."""


@dataclass(frozen=True)
class TrendSample:
    """One moment: turns that run and that wait, tokens read and written per second since the sample before."""

    at: float
    running: int
    waiting: int
    read_per_s: float
    written_per_s: float


class Trend:
    """Safe for threads."""

    def __init__(self, kept: int = MAX_SAMPLES) -> None:
        self._samples: deque[TrendSample] = deque(maxlen=kept)
        self._counters: dict[str, tuple[float, int, int]] = {}
        self._at = 0.0
        self._lock = threading.Lock()

    def add(self, at: float, workers: Iterable[WorkerView], waiting: int) -> None:
        """What the workers say at `at`, and how many turns wait."""
        workers = tuple(workers)
        with self._lock:
            seconds = at - self._at
            read, written = (sum(pair) for pair in zip(*map(self._grown, workers), (0, 0), strict=False))
            first = not self._samples or seconds <= 0
            rates = (0.0, 0.0) if first else (read / seconds, written / seconds)
            self._samples.append(TrendSample(at, sum(worker.running for worker in workers), waiting, *rates))
            self._at = at
            self._counters = {
                worker.name: (worker.engine.since, worker.engine.n_tokens_read, worker.engine.n_tokens_written)
                for worker in workers
            }

    def samples(self) -> tuple[TrendSample, ...]:
        """The oldest first."""
        with self._lock:
            return tuple(self._samples)

    def _grown(self, worker: WorkerView) -> tuple[int, int]:
        """Tokens read and written since the last sample; of a worker that has just come nothing is known yet."""
        engine = worker.engine
        since, read, written = self._counters.get(worker.name, (None, 0, 0))
        if since != engine.since:
            return 0, 0
        return max(0, engine.n_tokens_read - read), max(0, engine.n_tokens_written - written)
