"""The engine's part of the heartbeat: the model and its memory plan, which stay the same, and the engine's counters.

What it refuses to know: Redis (store/broker/registry.py keeps it for some seconds), and who reads it.
To add a number to the heartbeat:
    engine/stats.py                where it is counted: a field of `EngineStats`, a line in `gather`
    store/broker/registry.py       a field of `EngineView` with a default (or of `WorkerView`, set in heartbeat.py):
                                   workers and web processes of different versions read each other's entries
    here                           a line in `now`
    web/admin/metrics.py           its metric; web/templates/_dashboard.html, if admins shall see it
    deploy/cli/stats.py            if `inglenook stats` prints it; deploy/start_table.py, if `make run` does
    tests/web/test_metrics.py, tests/engine/ (that it is counted)
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from engine import Engine
from engine.model.cards import cards
from engine.model.memory_plan import MemoryPlan
from engine.model.story_size import StorySize
from store.broker.registry import EngineView
from store.settings import Settings
from worker.shelf.choice import OpenedModel, shelf_name

if TYPE_CHECKING:
    from engine.backends.llama_devices import Device


class EngineReporter:
    """Reports the engine of this worker."""

    def __init__(self, settings: Settings, engine: Engine, opened: OpenedModel | None) -> None:
        self._engine = engine
        options = engine.options
        view = EngineView(
            since=time.time(), lanes=options.lanes, context=options.context, max_reply=settings.max_reply_tokens
        )
        if opened:
            view = replace(view, model_file=opened.name or shelf_name(settings), model_why=opened.why)
        if opened and opened.loaded.plan:
            self._constant = planned(view, opened.loaded.plan, opened.loaded.device)
        else:
            self._constant = replace(view, model_name=view.model_file or settings.backend)

    def now(self) -> EngineView:
        """The constant facts and the present counters."""
        stats = self._engine.stats()
        spent = stats.spent
        return replace(
            self._constant,
            cells=stats.n_cells,
            cells_used=stats.cells_used,
            ram_budget=stats.ram_budget,
            ram_used=stats.ram_used,
            disk_budget=stats.disk_budget,
            disk_used=stats.disk_used,
            n_restored=stats.n_restored,
            n_fetched=stats.n_fetched,
            n_evicted_ram=stats.n_evicted_ram,
            n_evicted_disk=stats.n_evicted_disk,
            n_refused=stats.n_refused,
            n_unwritten=stats.n_unwritten,
            n_turns=stats.n_turns,
            n_tokens_read=spent.n_evaluated,
            n_tokens_written=spent.n_generated,
            n_tokens_kept=spent.n_kept,
            n_tokens_shared=spent.n_shared,
            n_tokens_restored=spent.n_restored,
            wake_s=round(spent.wake_s, 3),
            read_s=round(spent.read_s, 3),
            write_s=round(spent.write_s, 3),
        )


def planned(view: EngineView, plan: MemoryPlan, device: Device | None) -> EngineView:
    """The view with the facts of the model, of its plan, and of the card."""
    model, story = plan.model, StorySize.of(plan.model, plan.kv_type)
    return replace(
        view,
        model_name=model.name or model.architecture,
        kind=f"{model.architecture}, {model.quantization}",
        kv_type=plan.kv_type,
        device=device.name if device else "",
        build=device.backend if device else "",
        driver=_driver(device) if device else "",
        layers=model.n_layers + 1,
        gpu_layers=min(plan.n_gpu_layers, model.n_layers + 1),
        weight_bytes=plan.weight_bytes,
        kv_bytes=plan.kv_bytes,
        compute_bytes=plan.compute_bytes,
        reserve_bytes=plan.reserve_bytes,
        budget_bytes=plan.budget_bytes,
        story_in_ram=story.in_ram(plan.context),
        story_on_disk=story.on_disk(plan.context),
    )


def _driver(device: Device) -> str:
    """The version of the card's driver, where the system tells it (NVIDIA's)."""
    versions = (card.driver for card in cards() if card.driver and card.name in device.name)
    return next((f"driver {version}" for version in versions), "")
