"""The nemesis: does faults at random moments, several at a time, until told to heal.

What it refuses to know: what each fault is (faults.py), and who suffers.
"""

import heapq
import threading
import time
from collections import Counter

from tests.nemesis.faults import FAULTS, Missed


class Nemesis(threading.Thread):
    """One storm: from `start` to `heal`."""

    def __init__(self, installation, rng, history, gap_s, counts=None):
        super().__init__(name="nemesis", daemon=True)
        self._installation, self._rng, self._history, self._gap_s = installation, rng, history, gap_s
        self._stopped = threading.Event()
        self._undo = []
        self._n = 0
        self.counts = Counter() if counts is None else counts

    def run(self):
        names, weights = zip(*((name, weight) for name, (_, weight) in FAULTS.items()), strict=True)
        next_at = time.monotonic() + self._rng.expovariate(1 / self._gap_s)
        while not self._stopped.wait(0.02):
            self._withdraw(time.monotonic())
            if time.monotonic() >= next_at:
                next_at += self._rng.expovariate(1 / self._gap_s)
                self._strike(self._rng.choices(names, weights)[0])

    def _strike(self, name):
        try:
            damage = FAULTS[name][0](self._installation, self._rng)
        except Missed:
            return
        self.counts[name] += 1
        self._n += 1
        self._history.add("fault", body=f"{name}: {damage.words}")
        if damage.undo is not None:
            heapq.heappush(self._undo, (time.monotonic() + damage.lasts_s, self._n, damage.undo))

    def _withdraw(self, now):
        while self._undo and self._undo[0][0] <= now:
            heapq.heappop(self._undo)[2]()

    def heal(self):
        """No more faults; those that last are withdrawn."""
        self._stopped.set()
        self.join()
        self._withdraw(float("inf"))
        self._installation.heal()
        self._history.add("healed")
