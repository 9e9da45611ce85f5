"""The KV cache of one engine: all parts that keep and find cells, built and wired together once.

What it refuses to know: turns at work (lane.py, scheduler.py) and the engine's thread (engine.py).
To add a part: an attribute here; `Lane` and `Scheduler` get the whole cache.
"""

from collections.abc import Callable

from engine.backend import Backend, Cut
from engine.blocks.disk_tier import DiskTier
from engine.blocks.store import BlockStore
from engine.kv.cells import Cells
from engine.kv.cost_model import CostModel
from engine.kv.logits_cache import LogitsCache
from engine.kv.manifests import Manifests
from engine.kv.prefetch import Prefetch
from engine.kv.read_ahead import ReadAhead
from engine.kv.residents import Residents
from engine.kv.restore_policy import RestorePolicy
from engine.kv.resume import Resume
from engine.options import EngineOptions


class KvCache:
    """See the module text. `on_fetched` is called, on another thread, when something has come from disk."""

    def __init__(self, backend: Backend, options: EngineOptions, on_fetched: Callable[[], None]) -> None:
        self.backend = backend
        self.disk = DiskTier(options.folder, options.disk_bytes) if options.folder else None
        self.blocks = BlockStore(backend.model_key, options.ram_bytes, self.disk)
        self.manifests = Manifests(backend.model_key, self.disk)
        unstoppable = backend.n_on_card > 0 or backend.cut is Cut.CHECKPOINT
        longest_s = options.longest_s if unstoppable else float("inf")
        self.cost_model = CostModel(options.step_s, longest_s, tolerance_s=options.tolerance_s)
        self.cells = Cells(backend, self.blocks, self.cost_model)
        self.resume = Resume(backend, self.cells, self.blocks, options)
        self.logits = LogitsCache(options.logits_bytes)
        self.residents = Residents(self.cells, self.manifests, backend, options.max_sessions)
        self.policy = RestorePolicy(backend, self.cells, self.blocks, self.cost_model, options)
        self.ahead = ReadAhead(backend, self.residents, self.blocks, options.context)
        self.prefetch = Prefetch(self.blocks, self.manifests, self.cost_model, on_fetched, options.lanes)

    def close(self) -> None:
        """Write what is still to be written."""
        self.prefetch.close()
        if self.disk:
            self.blocks.close()
            self.disk.close()
