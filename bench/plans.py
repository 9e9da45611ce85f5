"""`make bench-plans`: how twelve models that people run would be loaded on small cards; docs/benchmarks.md.

Each plan is made from an outline of the model (bench/model_outlines.py) with the default settings. Beside it stands the
plan of the defaults that were there before: f16 cells, and 512 MB of RAM and 4 GB of disk for sleeping chats, whatever
the machine. A second table has the lines that `make run` prints at the start on six machines (`MACHINES`).
"""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.model_outlines import outline
from bench.published_shapes import GEMMA4_E4B, LLAMA31_8B, QWEN3_4B, QWEN35_9B, SHAPES
from bench.tables import publish, table
from deploy.start_table import rows as start_rows
from engine.backends.llama_devices import Device
from engine.errors import ModelError
from engine.model.budgets import FreeBytes, disk_tier_budget, model_budget, ram_tier_budget
from engine.model.info import ModelInfo, read_model_info
from engine.model.memory_plan import GIB, MIB, MemoryPlan
from engine.model.plan_search import PlanRequest, plan_memory
from engine.model.story_size import StorySize
from store.broker.registry import EngineView
from worker.engine_stats import planned

CARDS_GB = (6, 8)
IN_USE_GIB = 0.3
"""Of a card, by the desktop: what is free is so much less than what it has."""
RAM_BEFORE, DISK_BEFORE = 512 * MIB, 4 * GIB
PC = FreeBytes(ram=11 * GIB, disk=200 * GIB)
"""A PC of 16 GB, as the first table has it: what is free of its RAM and disk."""
MACHINES = (
    ("8 GB, disk 20", 5, 20, 0),
    ("8 GB, disk 20", 5, 20, 6),
    ("16 GB, disk 200", 11, 200, 0),
    ("16 GB, disk 200", 11, 200, 6),
    ("16 GB, disk 200", 11, 200, 8),
    ("64 GB, disk 200", 56, 200, 8),
)
"""RAM, free disk (GB); GiB of free RAM; GiB of free disk; GB of the card."""
FOUR = (QWEN3_4B, QWEN35_9B, LLAMA31_8B, GEMMA4_E4B)


def models(folder: Path) -> Iterator[tuple[str, ModelInfo]]:
    """Name with the size of the file, and facts, of each model."""
    for shape in SHAPES:
        path = outline(folder / "outline.gguf", shape)
        yield f"{shape.name}, {path.stat().st_size / 1e9:.1f} GB", read_model_info(path)


def plan_rows(folder: Path) -> Iterator[list[str]]:
    """One row for each model and card."""
    for name, model in models(folder):
        for card_gb in CARDS_GB:
            budget_bytes = model_budget(on_card(PC, card_gb))
            before = PlanRequest(kv_types=("f16",), n_batches=(512,))
            yield [
                name,
                str(card_gb),
                *_loaded(model, budget_bytes, before, RAM_BEFORE, DISK_BEFORE)[:2],
                *_loaded(model, budget_bytes, PlanRequest(), None, disk_tier_budget(PC)),
            ]


def on_card(free: FreeBytes, card_gb: int) -> FreeBytes:
    """The same machine with a card of so many GB (0: none)."""
    return replace(free, card=int((card_gb - IN_USE_GIB) * GIB) if card_gb else 0)


def _loaded(
    model: ModelInfo, budget_bytes: int, request: PlanRequest, ram_bytes: int | None, disk_bytes: int
) -> tuple[str, str, str, str]:
    """The plan, the stories that it keeps, what it is made of, what is left. `ram_bytes` None: the share of the PC."""
    everything = model.n_layers + 1
    try:
        plan = plan_memory(model, budget_bytes, request)
    except ModelError as error:
        advised = re.search(r"ask for (\d+) of its", str(error))
        return f"does not fit; {advised[1] if advised else 0} of its {everything} layers would", "-", "-", "-"
    part = "" if plan.n_gpu_layers == everything else f", {plan.n_gpu_layers} of {everything} layers"
    story = StorySize.of(model, plan.kv_type)
    ram_bytes = ram_tier_budget(PC, plan) if ram_bytes is None else ram_bytes
    kept = f"{ram_bytes // story.in_ram(plan.context)} + {disk_bytes // story.on_disk(plan.context)}"
    left = f"{(plan.budget_bytes - plan.total_bytes) / GIB:.2f}"
    return f"**{plan.lanes} x {plan.context:,}**, {plan.kv_type}{part}", kept, _inside(plan), left


def _inside(plan: MemoryPlan) -> str:
    cells = f"{plan.n_cells:,} cells {_mib(plan.cell_bytes)}"
    if plan.model.sliding_window:
        cells += ", all in every layer" if plan.swa_full else f", windows {plan.n_window_cells:,}"
    if plan.state_bytes:
        cells += f", {plan.n_sequences} states {_mib(plan.n_sequences * plan.state_bytes)}"
    return f"{cells}, computing {_mib(plan.compute_bytes)}"


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / MIB:,.0f} MiB"


def start_table_rows(folder: Path) -> Iterator[list[str]]:
    """What the start table says of four models on six machines."""
    for (name, ram_gib, disk_gib, card_gb), shape in ((machine, shape) for machine in MACHINES for shape in FOUR):
        model = replace(
            read_model_info(outline(folder / "outline.gguf", shape)), name=shape.name, quantization="Q4_K_M"
        )
        free = on_card(FreeBytes(ram_gib * GIB, disk_gib * GIB), card_gb)
        yield [name, str(card_gb or "none"), shape.name, *_start_table(model, free)]


def _start_table(model: ModelInfo, free: FreeBytes) -> tuple[str, str, str]:
    """Its lines on memory, chats and sleeping chats; or why the model cannot be loaded."""
    request = PlanRequest(gpu_layers=-1 if free.card else 0)
    try:
        plan = plan_memory(model, model_budget(free), request)
    except ModelError as error:
        return str(error).partition(". ")[0].partition(": ")[0], "-", "-"
    view = EngineView(
        lanes=plan.lanes,
        context=plan.context,
        ram_budget=ram_tier_budget(free, plan),
        disk_budget=disk_tier_budget(free),
    )
    device = Device("CUDA", "a card", free.card, free.card, False) if free.card else None
    lines = dict(start_rows(planned(view, plan, device)))
    return lines["memory"], lines["chats"], lines["sleeping"]


def main() -> None:
    """Plan, and write the tables."""
    with tempfile.TemporaryDirectory() as folder:
        head = ("model, Q4_K_M", "card, GB", "before", "kept", "now", "kept", "made of", "left, GiB")
        publish("plans", table(head, list(plan_rows(Path(folder)))))
        head = ("RAM", "card, GB", "model", "memory", "chats", "sleeping")
        publish("start-tables", table(head, list(start_table_rows(Path(folder)))))


if __name__ == "__main__":
    main()
