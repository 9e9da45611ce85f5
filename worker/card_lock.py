"""Card lock: one worker for each card of a machine, by an flock on {data_dir}/locks/.card-N.lock.

`docker compose up --scale worker=2` starts two workers that see the same cards: each takes the first that no other
holds. The lock ends with its process, however that dies. Where every card is held (or each worker sees only one, by
CUDA_VISIBLE_DEVICES, and counts from 0) the one with the most free memory is shared. What it refuses to know: what is
put on a card, and how much of it is free for whom.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from worker.gpu_lock import WorkerLock

if TYPE_CHECKING:
    from engine.backends.llama_devices import Device

log = logging.getLogger(__name__)


class CardLock:
    """The card of one worker. `place` is its place among the cards; 0 where there is none."""

    def __init__(self, data_dir: Path, cards: tuple[Device, ...]) -> None:
        self.place, self._lock = self._first_free(data_dir, cards)
        self.device = cards[self.place] if cards else None

    def _first_free(self, data_dir: Path, cards: tuple[Device, ...]) -> tuple[int, WorkerLock | None]:
        for place in range(len(cards)):
            lock = WorkerLock(data_dir, f".card-{place}")
            if lock.try_acquire():
                return place, lock
        if not cards:
            return 0, None
        place = max(range(len(cards)), key=lambda place: cards[place].free_bytes)
        log.warning("every card has a worker already: this one shares %s with another", cards[place].name)
        return place, None

    def release(self) -> None:
        """Let another worker have the card (the end of the process does it, too)."""
        if self._lock is not None:
            self._lock.release()
