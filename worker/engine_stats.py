"""What this worker says about its engine in its heartbeat: the model and its plan, then figures of now.

What it refuses to know: Redis (store/broker/registry.py keeps it for some seconds), and who reads it.
To add a figure: a field of the store's EngineView, and a line here.
"""

from __future__ import annotations

import time
from dataclasses import replace

from engine import Engine
from engine.model.memory_plan import MemoryPlan
from store.broker.registry import EngineView
from store.settings import Settings


class EngineReporter:
    """One per worker."""

    def __init__(self, settings: Settings, engine: Engine, plan: MemoryPlan | None) -> None:
        self._engine = engine
        same = EngineView(since=time.time(), context=engine.options.context, max_reply=settings.max_reply_tokens)
        self._same = _planned(same, plan) if plan else replace(same, model_name=settings.backend)

    def now(self) -> EngineView:
        """Everything, as it is now."""
        found = self._engine.stats()
        spent = found.spent
        return replace(
            self._same,
            cells=found.n_cells,
            cells_used=found.cells_used,
            ram_budget=found.ram_budget,
            ram_used=found.ram_used,
            disk_budget=found.disk_budget,
            disk_used=found.disk_used,
            n_restored=found.n_restored,
            n_fetched=found.n_fetched,
            n_evicted_ram=found.n_evicted_ram,
            n_evicted_disk=found.n_evicted_disk,
            n_refused=found.n_refused,
            n_unwritten=found.n_unwritten,
            n_turns=found.n_turns,
            n_tokens_read=spent.n_evaluated,
            n_tokens_written=spent.n_generated,
            n_tokens_kept=spent.n_kept,
            n_tokens_shared=spent.n_shared,
            n_tokens_restored=spent.n_restored,
            wake_s=round(spent.wake_s, 3),
            read_s=round(spent.read_s, 3),
            write_s=round(spent.write_s, 3),
        )


def _planned(view: EngineView, plan: MemoryPlan) -> EngineView:
    model = plan.model
    return replace(
        view,
        model_name=model.name or model.architecture,
        kind=f"{model.architecture}, {model.quantization}",
        kv_type=plan.kv_type,
        layers=model.n_layers + 1,
        gpu_layers=min(plan.n_gpu_layers, model.n_layers + 1),
        weight_bytes=plan.weight_bytes,
        kv_bytes=plan.kv_bytes,
        compute_bytes=plan.compute_bytes,
        reserve_bytes=plan.reserve_bytes,
        budget_bytes=plan.budget_bytes,
    )
