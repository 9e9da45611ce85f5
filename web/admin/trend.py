"""The time series of the last ten minutes for the dashboard's charts: running and waiting turns, tokens per second.

What it does: the periodic maintenance adds a sample every round; rates are differences of the counters in the workers'
heartbeats, which begin again at 0 when a worker restarts. A ring buffer in memory: gone with its process.
What it refuses to know: Redis, SQL, pages.
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
    """Turns that run and that wait at `at`, tokens read and written per second since the sample before."""

    at: float
    running: int
    waiting: int
    read_per_s: float
    written_per_s: float


class Trend:
    """A ring buffer of samples. Thread-safe."""

    def __init__(self, max_samples: int = MAX_SAMPLES) -> None:
        self._samples: deque[TrendSample] = deque(maxlen=max_samples)
        self._counters: dict[str, tuple[float, int, int]] = {}
        self._at = 0.0
        self._lock = threading.Lock()

    def add(self, at: float, workers: Iterable[WorkerView], waiting: int) -> None:
        """Add a sample of the workers' heartbeats at time `at` (epoch seconds)."""
        workers = tuple(workers)
        with self._lock:
            seconds = at - self._at
            read, written = (sum(pair) for pair in zip(*map(self._counter_increase, workers), (0, 0), strict=False))
            first = not self._samples or seconds <= 0
            rates = (0.0, 0.0) if first else (read / seconds, written / seconds)
            self._samples.append(TrendSample(at, sum(worker.running for worker in workers), waiting, *rates))
            self._at = at
            self._counters = {
                worker.name: (worker.engine.since, worker.engine.n_tokens_read, worker.engine.n_tokens_written)
                for worker in workers
            }

    def samples(self) -> tuple[TrendSample, ...]:
        """All samples, oldest first."""
        with self._lock:
            return tuple(self._samples)

    def _counter_increase(self, worker: WorkerView) -> tuple[int, int]:
        """Tokens read and written since the last sample; 0 for a worker that is new or was restarted."""
        engine = worker.engine
        since, read, written = self._counters.get(worker.name, (None, 0, 0))
        if since != engine.since:
            return 0, 0
        return max(0, engine.n_tokens_read - read), max(0, engine.n_tokens_written - written)
