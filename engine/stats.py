"""Metrics of one engine: cells, blocks, evictions, and what all its turns took. Read-only, for any thread.

Counters begin with the process. A number may be a moment old: nothing is locked for it.
To add one: count it where it happens, a field of EngineStats and a line in `gather` here; for the pages and /metrics
also a field of EngineView (store/broker/registry.py), a line in worker/engine_stats.py, and web/admin/.
"""

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.events import TurnStats

if TYPE_CHECKING:
    from engine.blocks.store import BlockStore
    from engine.kv.cells import Cells


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Bytes, blocks and tokens. `spent` adds up every turn since the start, those that only read ahead, too.

    `n_restored` blocks came into cells, `n_fetched` of them from disk; `n_refused` were bad and put aside;
    `n_unwritten` were not written to disk, because it was full or too slow.
    """

    n_cells: int
    cells_used: int
    ram_budget: int
    ram_used: int
    disk_budget: int
    disk_used: int
    n_restored: int
    n_fetched: int
    n_evicted_ram: int
    n_evicted_disk: int
    n_refused: int
    n_unwritten: int
    n_turns: int
    spent: TurnStats


class Tally:
    """Adds up what turns took, those under way included, so that nothing it says ever goes down. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = TurnStats()
        self._running: list[TurnStats] = []
        self.n_turns = 0

    def begin(self, stats: TurnStats) -> None:
        """Count a running turn; its lane goes on counting in `stats`."""
        with self._lock:
            self._running.append(stats)

    def end(self, stats: TurnStats) -> None:
        """The turn of these `stats` is over."""
        with self._lock:
            self._running = [each for each in self._running if each is not stats]
            self._ended.add(stats)
            self.n_turns += 1

    def total(self) -> TurnStats:
        """The sum over all turns; where tokens came from is only counted of turns that are over."""
        with self._lock:
            total = replace(self._ended)
            for each in self._running:
                total.n_evaluated += each.n_evaluated
                total.n_generated += each.n_generated
            return total


def gather(n_cells: int, cells: "Cells", blocks: "BlockStore", tally: Tally) -> EngineStats:
    """Every number as it is now."""
    disk = blocks.disk
    return EngineStats(
        n_cells=n_cells,
        cells_used=cells.used,
        ram_budget=blocks.ram_budget,
        ram_used=blocks.ram_used,
        disk_budget=disk.budget_bytes if disk else 0,
        disk_used=disk.used_bytes() if disk else 0,
        n_restored=blocks.n_restored,
        n_fetched=blocks.n_fetched,
        n_evicted_ram=blocks.n_evicted,
        n_evicted_disk=disk.n_evicted if disk else 0,
        n_refused=blocks.n_refused,
        n_unwritten=disk.n_skipped if disk else 0,
        n_turns=tally.n_turns,
        spent=tally.total(),
    )
