"""`make bench-plans`: how twelve models that people run would be loaded on cards of 6 and 8 GB; docs/benchmarks.md.

Each plan is made from an outline of the model (bench/model_outlines.py) with the default settings. Beside it stands the
plan that was made before the sizes of sliding windows, hybrids and logits were known (`BEFORE`).
"""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.model_outlines import outline
from bench.published_shapes import SHAPES
from bench.tables import publish, table
from engine.errors import ModelError
from engine.model.info import ModelInfo, read_model_info
from engine.model.memory_plan import GIB, KV_VALUE_BYTES, MIB, MemoryPlan, PlanRequest, plan_memory

CARDS_GB = (6, 8)
RAM_BYTES, DISK_BYTES = 512 * MIB, 4 * GIB
"""Defaults of INGLENOOK_RAM_CACHE_MB and INGLENOOK_DISK_CACHE_MB."""
CHECKPOINTS = (3, 1)
"""Kept of each chat: at the end of the persona, before the reply, at the end of the turn; or the last alone."""
BEFORE = {
    "Qwen3.5 4B": ((2, 8192, 33), (2, 8192, 33)),
    "Qwen3.5 9B": ((1, 3072, 33), (2, 8192, 33)),
    "Gemma 3 4B": ((2, 8192, 35), (2, 8192, 35)),
    "Gemma 3 12B": ((0, 0, 29), (1, 2048, 44)),
    "Gemma 4 E4B": ((2, 2048, 43), (2, 8192, 43)),
    "Gemma 4 12B": ((0, 0, 27), (1, 2048, 40)),
    "Llama 3.1 8B": ((2, 3584, 33), (2, 8192, 33)),
    "Qwen3 4B": ((2, 8192, 37), (2, 8192, 37)),
    "Qwen3 8B": ((2, 2816, 37), (2, 8192, 37)),
    "Mistral Nemo 12B": ((0, 0, 29), (1, 3840, 41)),
    "Ministral 3 8B": ((2, 2560, 35), (2, 8192, 35)),
    "LFM2 2.6B": ((2, 8192, 31), (2, 8192, 31)),
}
"""Lanes, context and layers on each card, as commit debb353 (2026-11-30) planned for the same outlines; no lanes: it
refused, and named so many layers."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes that one full chat leaves behind: of each token, of what a window sees, and of one recurrent state."""

    token_bytes: int
    window_bytes: int
    state_bytes: int

    @classmethod
    def of(cls, model: ModelInfo, kv_type: str) -> "Kept":
        """Of cells of this type."""
        sizes = {False: 0, True: 0}
        for layer, windowed in enumerate(model.windowed):
            sizes[windowed] += model.cell_values(layer)
        n_bytes = KV_VALUE_BYTES[kv_type]
        window = int(sizes[True] * n_bytes) * model.sliding_window
        return cls(int(sizes[False] * n_bytes), window, model.state_bytes)

    def now(self, context: int, n_checkpoints: int) -> int:
        """Blocks of every token once, one window of them, and checkpoints (engine/kv/scratch.py)."""
        return context * self.token_bytes + self.window_bytes + n_checkpoints * self.state_bytes

    def before(self, context: int, n_checkpoints: int) -> int:
        """As now where nothing but cells is kept; else every checkpoint had all tokens in it (a snapshot)."""
        if not self.window_bytes and not self.state_bytes:
            return self.now(context, n_checkpoints)
        return n_checkpoints * self.now(context, 1)


def rows(folder: Path) -> Iterator[list[str]]:
    """One row for each model and card."""
    for shape in SHAPES:
        path = outline(folder / "outline.gguf", shape)
        model, n_gb = read_model_info(path), path.stat().st_size / 1e9
        for card_gb, (lanes, context, layers) in zip(CARDS_GB, BEFORE[shape.name], strict=True):
            before = _loaded(lanes, context, layers, model.n_layers + 1)
            yield [f"{shape.name}, {n_gb:.1f} GB", str(card_gb), before, *_planned(model, card_gb)]


def _planned(model: ModelInfo, card_gb: int) -> list[str]:
    """Chats kept before, the plan, chats kept now, what it is made of, what is left."""
    try:
        plan = plan_memory(model, card_gb * GIB, PlanRequest(kv_types=("f16",)))
    except ModelError as error:
        advised = re.search(r"ask for (\d+) of its", str(error))
        return ["-", _loaded(0, 0, int(advised[1]) if advised else 0, model.n_layers + 1), "-", "-", "-"]
    kept = Kept.of(model, plan.kv_type)
    return [
        _chats(kept.before(plan.context, n) for n in CHECKPOINTS),
        _loaded(plan.lanes, plan.context, plan.n_gpu_layers, model.n_layers + 1),
        _chats(kept.now(plan.context, n) for n in CHECKPOINTS),
        _inside(plan),
        f"{(plan.budget_bytes - plan.total_bytes) / GIB:.2f}",
    ]


def _loaded(lanes: int, context: int, layers: int, everything: int) -> str:
    if not lanes:
        return f"does not fit; {layers} of its {everything} layers would"
    part = "" if layers == everything else f", {layers} of {everything} layers"
    return f"**{lanes} x {context:,}**{part}"


def _inside(plan: MemoryPlan) -> str:
    cells = f"{plan.n_cells:,} cells {_mib(plan.cell_bytes)}"
    if plan.model.sliding_window:
        cells += ", all in every layer" if plan.swa_full else f", windows {plan.n_window_cells:,}"
    if plan.state_bytes:
        cells += f", {plan.n_sequences} states {_mib(plan.n_sequences * plan.state_bytes)}"
    return f"{cells}, computing {_mib(plan.compute_bytes)}"


def _chats(sizes: Iterator[int]) -> str:
    """How many chats fit into RAM and on disk, for each count of checkpoints."""
    counts = [(RAM_BYTES // size, DISK_BYTES // size) for size in sizes]
    return " / ".join(dict.fromkeys(f"{in_ram} + {on_disk}" for in_ram, on_disk in counts))


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / MIB:,.0f} MiB"


def main() -> None:
    """Plan, and write the table."""
    head = ("model, Q4_K_M", "card, GB", "before", "chats kept", "now", "chats kept", "made of", "left, GiB")
    with tempfile.TemporaryDirectory() as folder:
        text = table(head, list(rows(Path(folder))))
    publish("plans", text)


if __name__ == "__main__":
    main()
